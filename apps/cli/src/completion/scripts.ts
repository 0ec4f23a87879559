/** The shells that can be completed. */
export type Shell = 'bash' | 'zsh' | 'fish';

/**
 * What the command prints for a shell: one candidate a line, for zsh and fish with a tab and what it is. This line says that
 * names of local files may come too.
 */
export const FILES_LINE = ':files';

// bash parts words at colons (COMP_WORDBREAKS), which our paths have: the pieces are put together by the line as it was
// typed, and what stands before the last colon is taken off the candidates again.
const bash = String.raw`# bash completion of holdfast: source <(holdfast completion bash)
_holdfast() {
  local rest=$COMP_LINE piece glued i words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    piece=${'$'}{COMP_WORDS[i]}
    glued=1
    if [[ $i -eq 0 || $rest == [[:blank:]]* || -z $rest ]]; then glued=; fi
    [[ -z $rest && $i -gt 0 && $COMP_LINE == *[:=] ]] && glued=1
    rest=${'$'}{rest#"${'$'}{rest%%[![:blank:]]*}"}
    rest=${'$'}{rest#"$piece"}
    if [[ -n $glued ]]; then words[${'$'}{#words[@]}-1]+=$piece; else words+=("$piece"); fi
  done
  local cur=${'$'}{words[${'$'}{#words[@]}-1]} candidate files= quoted
  local cut=${'$'}{cur%"${'$'}{cur##*[:=]}"}
  COMPREPLY=()
  while IFS= read -r candidate; do
    if [[ $candidate == ':files' ]]; then files=1; continue; fi
    if [[ $cur == [\"\']* ]]; then
      quoted=$candidate
      [[ $cut == [\"\']* ]] && candidate=${'$'}{cut:0:1}$quoted
    else
      printf -v quoted %q "$candidate"
      candidate=$quoted
    fi
    COMPREPLY+=("${'$'}{candidate#"$cut"}")
  done < <(holdfast __complete bash "${'$'}{words[@]:1}" 2>/dev/null)
  if [[ -n $files ]]; then
    compopt -o filenames 2>/dev/null
    while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "$cur")
  fi
  [[ ${'$'}{#COMPREPLY[@]} -eq 1 && ${'$'}{COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
}
complete -F _holdfast holdfast
`;

const zsh = String.raw`#compdef holdfast
# zsh completion of holdfast: holdfast completion zsh > a folder of $fpath, as _holdfast
_holdfast() {
  local line files=
  local -a ended open
  for line in "${'$'}{(@f)$(holdfast __complete zsh "${'$'}{(@Q)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) files=1 ;;
      *) line=${'$'}{line%%$'\t'*}; if [[ $line == */ ]]; then open+=("$line"); else ended+=("$line"); fi ;;
    esac
  done
  compadd -a ended
  compadd -S '' -a open
  [[ -n $files ]] && _files
  return 0
}
if [[ $funcstack[1] == _holdfast ]]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`;

const fish = String.raw`# fish completion of holdfast: holdfast completion fish > ~/.config/fish/completions/holdfast.fish
function __holdfast_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (holdfast __complete fish $words[2..-1] 2>/dev/null)
        if test "$line" = ':files'
            __fish_complete_path (commandline -ct)
        else
            printf '%s\n' $line
        end
    end
end
complete -c holdfast -f -a '(__holdfast_complete)'
`;

/** The script that a shell reads to complete the command. */
export const completionScripts: Readonly<Record<Shell, string>> = { bash, zsh, fish };
