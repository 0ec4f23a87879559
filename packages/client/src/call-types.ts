import type { z } from 'zod';
import type { Endpoint, RawBody } from '@holdfast/contract/endpoint';
import type { endpoints, EndpointName } from '@holdfast/contract/endpoints';

/** Bytes as `fetch` takes them. */
export type RequestBody =
  | string
  | Blob
  | FormData
  | ArrayBuffer
  | Uint8Array<ArrayBuffer>
  | ReadableStream<Uint8Array>;

/** Bytes, or what makes them anew for every attempt. A stream that is given as it is can be sent only once. */
export type BodySource = RequestBody | (() => RequestBody | Promise<RequestBody>);

/** What every call takes. */
export interface CommonCallOptions {
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Milliseconds that one attempt may take until its answer begins. Default: that of the client. */
  attemptTimeoutMs?: number;
  /** False: one attempt only. */
  retry?: boolean;
}

/** What every object is assignable to that needs nothing. */
interface Empty {
  [nothing: symbol]: never;
}
type Part<Name extends string, Value> = Empty extends Value
  ? { [K in Name]?: Value }
  : { [K in Name]: Value };
type SchemaPart<Name extends string, Schema> = Schema extends z.ZodType ? Part<Name, z.input<Schema>> : Empty;
type BodyPart<Body> = [Body] extends [RawBody] ? { body: BodySource } : SchemaPart<'body', Body>;

/** What a call of an endpoint sends. */
export type CallOptions<N extends EndpointName> = CommonCallOptions &
  ((typeof endpoints)[N] extends Endpoint<infer Params, infer Query, infer Body, infer _Response>
    ? SchemaPart<'params', Params> & SchemaPart<'query', Query> & BodyPart<Body>
    : never);

/** The options of a call; they may be left out when nothing in them is needed. */
export type CallArguments<N extends EndpointName> =
  Empty extends CallOptions<N> ? [options?: CallOptions<N>] : [options: CallOptions<N>];

type ResponseSchema<N extends EndpointName> =
  (typeof endpoints)[N] extends Endpoint<infer _Params, infer _Query, infer _Body, infer Response>
    ? Response
    : never;

/** The envelope of /api/v1 taken off: `data` of one thing; a list keeps `data`, `total` and `next_cursor`, those that it has. */
type Unwrapped<Whole> = Whole extends { success: true; data: infer Data }
  ? 'total' extends keyof Whole
    ? Omit<Whole, 'success'>
    : 'next_cursor' extends keyof Whole
      ? Omit<Whole, 'success'>
      : Data
  : Whole;

/** Endpoints that answer JSON. */
export type JsonEndpointName = {
  [N in EndpointName]: ResponseSchema<N> extends z.ZodType ? N : never;
}[EndpointName];

/** The parsed answer of an endpoint, without its envelope. */
export type Answer<N extends JsonEndpointName> =
  ResponseSchema<N> extends infer Schema extends z.ZodType ? Unwrapped<z.output<Schema>> : never;

/** Endpoints that answer one page of a list. */
export type ListEndpointName = {
  [N in JsonEndpointName]: Answer<N> extends { next_cursor?: string | undefined }
    ? 'next_cursor' extends keyof Answer<N>
      ? N
      : never
    : never;
}[JsonEndpointName];

/** One entry of a list. */
export type ItemOf<N extends ListEndpointName> = {
  [K in keyof Answer<N>]-?: Answer<N>[K] extends readonly (infer Item)[] ? Item : never;
}[keyof Answer<N>];

/** The same options as the implementation sees them, whatever the endpoint. */
export interface LooseCallOptions extends CommonCallOptions {
  params?: object;
  query?: object;
  body?: unknown;
}
