import type { CallOptions, Connection } from './connection.ts';
import type { ObjectInfo } from './entry.ts';
import { bareEtag, garbled } from './objects.ts';

/** One line of a listing, by its whole key: an object, or with a delimiter a common beginning that ends with it. */
export interface KeyItem {
  key: string;
  /** Undefined for a common beginning. */
  object?: ObjectInfo;
}

export interface KeyPage {
  /** In the order of the keys' UTF-8 bytes. */
  items: KeyItem[];
  /** Where the next page goes on; undefined after the last one. */
  nextToken: string | undefined;
}

export interface KeyQuery {
  /** What keys begin with. */
  prefix: string;
  /** Only keys after this one. Not with a token. */
  after?: string | undefined;
  token?: string | undefined;
  /** Keys are cut at the first slash behind the prefix. */
  isDirect?: boolean;
  /** Lines of the page, at most 1000. */
  limit: number;
}

/** A key as it is, from the form that `encoding-type=url` gives it (any byte, though XML could not hold it). */
function decodeKey(text: string, encoding: string | undefined): string {
  if (encoding !== 'url') return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw garbled('readable key');
  }
}

/** One page of keys by ListObjectsV2. */
export async function listKeys(
  connection: Connection,
  query: KeyQuery,
  options: CallOptions,
): Promise<KeyPage> {
  return connection.call(options, async ({ client, library, bucket }, abortSignal) => {
    const command = new library.ListObjectsV2Command({
      Bucket: bucket,
      Prefix: query.prefix,
      MaxKeys: query.limit,
      EncodingType: 'url',
      ...(query.isDirect === true ? { Delimiter: '/' } : {}),
      ...(query.token === undefined ? { StartAfter: query.after } : { ContinuationToken: query.token }),
    });
    const output = await client.send(command, { abortSignal });
    const decode = (text: string | undefined): string => {
      const key = decodeKey(text ?? '', output.EncodingType);
      if (!key.startsWith(query.prefix)) throw garbled('key of the listing that was asked for');
      return key;
    };
    const items: KeyItem[] = [];
    for (const { Key, ETag, Size, LastModified } of output.Contents ?? []) {
      const isComplete = Size !== undefined && Size >= 0 && LastModified !== undefined;
      if (!isComplete) throw garbled('size or time of a key');
      items.push({
        key: decode(Key),
        object: { etag: bareEtag(ETag), size: Size, lastModified: LastModified },
      });
    }
    for (const { Prefix } of output.CommonPrefixes ?? []) items.push({ key: decode(Prefix) });
    // The two kinds come apart; together they are one sequence.
    if (output.CommonPrefixes !== undefined) items.sort((a, b) => compareBytes(a.key, b.key));
    const nextToken = output.IsTruncated === true ? output.NextContinuationToken : undefined;
    if (output.IsTruncated === true && nextToken === undefined) throw garbled('place to go on');
    return { items, nextToken };
  });
}

/** The order of S3: by the bytes of UTF-8. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Whether any key begins so. */
export async function hasKeys(
  connection: Connection,
  prefix: string,
  options: CallOptions,
): Promise<boolean> {
  const { items } = await listKeys(connection, { prefix, limit: 1 }, options);
  return items.length > 0;
}

/** Every key with a beginning, page by page. */
export async function* eachKeyPage(
  connection: Connection,
  query: Omit<KeyQuery, 'limit' | 'token'>,
  options: CallOptions,
): AsyncGenerator<KeyItem[]> {
  for (let token: string | undefined; ;) {
    const page = await listKeys(connection, { ...query, token, limit: 1000 }, options);
    yield page.items;
    token = page.nextToken;
    if (token === undefined) return;
  }
}
