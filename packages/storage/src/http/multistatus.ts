import { Parser } from 'htmlparser2';

/** One resource of a PROPFIND reply, with the properties that the server has for it. */
export interface DavResource {
  href: string;
  /** Undefined when the server does not say. */
  isFolder: boolean | undefined;
  contentLength: string | undefined;
  lastModified: string | undefined;
  etag: string | undefined;
  quotaUsed: string | undefined;
  quotaAvailable: string | undefined;
  /** The status of the resource itself, where it has one in place of properties. */
  status: number | undefined;
}

const DAV = 'DAV:';
const maxDepth = 64;
const maxTextLength = 64 * 1024;
const textProperties: Record<string, keyof DavResource> = {
  getcontentlength: 'contentLength',
  getlastmodified: 'lastModified',
  getetag: 'etag',
  'quota-used-bytes': 'quotaUsed',
  'quota-available-bytes': 'quotaAvailable',
};

/** The properties that a PROPFIND asks for. */
export const PROPERTIES_REQUEST =
  '<?xml version="1.0" encoding="utf-8"?>\n<D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/><D:getcontentlength/>' +
  '<D:getlastmodified/><D:getetag/></D:prop></D:propfind>';

/** As `PROPERTIES_REQUEST`, with the quota (RFC 4331). */
export const USAGE_REQUEST = PROPERTIES_REQUEST.replace(
  '</D:prop>',
  '<D:quota-used-bytes/><D:quota-available-bytes/></D:prop>',
);

interface Scope {
  local: string;
  namespace: string;
  prefixes: ReadonlyMap<string, string>;
  hasChildren: boolean;
}

/** A body that is not a proper multistatus (RFC 4918 §13). */
export class MultistatusError extends Error {
  override readonly name = 'MultistatusError';
}

/**
 * Reads a multistatus as it comes in, so that a listing of any length holds up nothing. It knows no document types and
 * no entities but XML's own five and numeric ones, and fetches nothing. Elements that it does not know are passed over;
 * elements that do not match, and resources without an address or a status, are refused as damaged.
 */
export class MultistatusReader {
  readonly #onResource: (resource: DavResource) => void;
  readonly #parser: Parser;
  readonly #stack: Scope[] = [];
  #resource: Partial<DavResource> | undefined;
  /** Properties of the propstat under way: they count only when its status is 200. */
  #found: Partial<DavResource> = {};
  #foundStatus: number | undefined;
  #text = '';
  #isComplete = false;
  /** From here on the parser closes only what was left open. */
  #isEnding = false;

  constructor(onResource: (resource: DavResource) => void) {
    this.#onResource = onResource;
    this.#parser = new Parser(
      {
        onopentag: (name, attributes) => this.#open(name, attributes),
        onclosetag: (_name, isImplied) => this.#close(isImplied),
        ontext: (text) => this.#addText(text),
        onprocessinginstruction: (name) => this.#refuseDoctype(name),
      },
      { xmlMode: true, decodeEntities: true },
    );
  }

  /** Takes the next piece of the text. @throws MultistatusError */
  write(text: string): void {
    this.#parser.write(text);
  }

  /** Ends the text. @throws MultistatusError when it is not complete */
  end(): void {
    this.#isEnding = true;
    this.#parser.end();
    if (!this.#isComplete) throw new MultistatusError('it ends early');
  }

  #open(name: string, attributes: Record<string, string>): void {
    const parent = this.#stack.at(-1);
    if (this.#stack.length >= maxDepth) throw new MultistatusError('its elements are nested too deeply');
    const prefixes = withDeclarations(parent?.prefixes ?? new Map(), attributes);
    const colon = name.indexOf(':');
    const scope = {
      local: name.slice(colon + 1),
      namespace: prefixes.get(colon < 0 ? '' : name.slice(0, colon)) ?? '',
      prefixes,
      hasChildren: false,
    };
    if (parent === undefined && (scope.local !== 'multistatus' || scope.namespace !== DAV)) {
      throw new MultistatusError('it is no multistatus');
    }
    if (parent !== undefined) parent.hasChildren = true;
    this.#stack.push(scope);
    this.#text = '';
    if (this.#isAt('multistatus', 'response')) this.#resource = {};
    else if (this.#isAt('response', 'propstat')) {
      this.#found = {};
      this.#foundStatus = undefined;
    } else if (this.#isAt('prop', 'resourcetype')) this.#found.isFolder = false;
    else if (this.#isAt('resourcetype', 'collection')) this.#found.isFolder = true;
  }

  #close(isImplied: boolean): void {
    if (this.#isEnding) throw new MultistatusError('it ends early');
    const [parent, own] = this.#stack.length > 1 ? this.#stack.slice(-2) : [undefined, this.#stack[0]];
    const text = this.#text.trim();
    // An element without content may be closed by itself; one with content that lacks its end is damage.
    if (isImplied && (text !== '' || own?.hasChildren === true))
      throw new MultistatusError('its elements do not match');
    if (this.#isAt('response', 'href') && this.#resource !== undefined) this.#resource.href ??= text;
    else if (this.#isAt('response', 'status') && this.#resource !== undefined)
      this.#resource.status = statusOf(text);
    else if (this.#isAt('propstat', 'status')) this.#foundStatus = statusOf(text);
    else if (parent?.local === 'prop' && parent.namespace === DAV) this.#takeProperty(text);
    else if (this.#isAt('response', 'propstat')) this.#endProperties();
    else if (this.#isAt('multistatus', 'response')) this.#endResource();
    this.#stack.pop();
    if (this.#stack.length === 0) this.#isComplete = true;
    this.#text = '';
  }

  #isAt(parent: string, own: string): boolean {
    const [above, here] = this.#stack.slice(-2);
    return (
      above?.local === parent && above.namespace === DAV && here?.local === own && here.namespace === DAV
    );
  }

  #addText(text: string): void {
    if (this.#text.length + text.length > maxTextLength)
      throw new MultistatusError('one of its values is too long');
    this.#text += text;
  }

  #takeProperty(text: string): void {
    const own = this.#stack.at(-1);
    const key = own?.namespace === DAV ? textProperties[own.local] : undefined;
    if (key !== undefined) Object.assign(this.#found, { [key]: text });
  }

  #endProperties(): void {
    if (this.#foundStatus === undefined) throw new MultistatusError('properties have no status');
    if (this.#foundStatus === 200) Object.assign(this.#resource ?? {}, this.#found);
  }

  #endResource(): void {
    const { href, isFolder, contentLength, lastModified, etag, quotaUsed, quotaAvailable, status } =
      this.#resource ?? {};
    this.#resource = undefined;
    if (href === undefined || href === '') throw new MultistatusError('a resource has no address');
    this.#onResource({
      href,
      isFolder,
      contentLength,
      lastModified,
      etag,
      quotaUsed,
      quotaAvailable,
      status,
    });
  }

  #refuseDoctype(name: string): void {
    if (name.toLowerCase() === '!doctype') throw new MultistatusError('it declares a document type');
  }
}

function withDeclarations(
  outer: ReadonlyMap<string, string>,
  attributes: Record<string, string>,
): ReadonlyMap<string, string> {
  const declared = Object.entries(attributes).filter(
    ([name]) => name === 'xmlns' || name.startsWith('xmlns:'),
  );
  if (declared.length === 0) return outer;
  return new Map([...outer, ...declared.map(([name, uri]) => [name.slice('xmlns:'.length), uri] as const)]);
}

/** The number of a status line (RFC 9112 §4). */
function statusOf(text: string): number {
  const [, status] = /^HTTP\/\d(?:\.\d)? (\d{3})(?: |$)/.exec(text) ?? [];
  if (status === undefined) throw new MultistatusError('a status is none');
  return Number(status);
}
