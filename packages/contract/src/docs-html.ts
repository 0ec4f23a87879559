const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Text as HTML, safe in content and in quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** Text as an inline code element. */
export function code(text: string): string {
  return `<code>${escapeHtml(text)}</code>`;
}

/** A description as HTML: words between backticks become code. */
export function prose(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 1 ? code(part) : escapeHtml(part)))
    .join('');
}

/** The style of the page; light and dark by what the reader's system asks for. */
export const styleSheet = `
:root { color-scheme: light dark; --ink: #1c2024; --muted: #5b646d; --page: #ffffff; --panel: #f4f6f8;
  --line: #d9dee3; --link: #0b5fb4; --get: #0a6640; --post: #0b5fb4; --patch: #875400; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ea; --muted: #9aa4ad; --page: #15181b; --panel: #1e2327;
  --line: #343b41; --link: #7db7f5; --get: #6fd3a0; --post: #7db7f5; --patch: #f0b95c; --delete: #ff9a90; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--page); }
.layout { display: grid; grid-template-columns: 17rem minmax(0, 1fr); max-width: 84rem; margin: 0 auto; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1rem; border-right: 1px solid var(--line);
  font-size: 0.875rem; }
nav ul { list-style: none; margin: 0 0 1rem; padding: 0; }
nav strong a { color: var(--ink); }
main { padding: 1.5rem 2rem 6rem; min-width: 0; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
h1 { margin-top: 0; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); padding-bottom: 0.3rem; }
h3 { margin: 2.5rem 0 0.25rem; } h4 { margin: 1rem 0 0.25rem; font-size: 0.95rem; }
small, .muted { color: var(--muted); }
code, pre { font: 0.85em/1.5 ui-monospace, monospace; }
code { background: var(--panel); padding: 0.1em 0.3em; border-radius: 4px; overflow-wrap: anywhere; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 0.75rem 1rem; overflow-x: auto; }
.call { font: 600 0.95rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.get { color: var(--get); } .post { color: var(--post); } .patch, .put { color: var(--patch); } .delete { color: var(--delete); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; margin: 0.25rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 0.75rem 0.35rem 0; border-bottom: 1px solid var(--line); }
@media (max-width: 55rem) { .layout { display: block; } nav { position: static; height: auto; border-right: 0;
  border-bottom: 1px solid var(--line); } main { padding: 1rem; } }
`;
