import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';

/** What an API key may be allowed to do. `admin` includes all others. */
export const scopes = [
  'files:read',
  'files:write',
  'backends:read',
  'backends:write',
  'boot:read',
  'boot:write',
  'settings:write',
  'admin',
] as const;
export type Scope = (typeof scopes)[number];

/**
 * Who may call an endpoint:
 * - a scope: an API key that has it (or `admin`);
 * - `authenticated`: any valid API key;
 * - `boot`: anyone from the networks of `anonymous_boot_networks`, else a key with `boot:read` or `files:read`;
 * - `anonymous`: anyone.
 */
export type Access = Scope | 'authenticated' | 'boot' | 'anonymous';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE' | 'OPTIONS';

/** A body or answer that is not JSON: raw bytes, text, or an upload in either form. */
export interface RawBody {
  raw: true;
  /** Media types, for the documentation. */
  contentTypes: string[];
  description: string;
}

export function rawBody(contentTypes: string[], description: string): RawBody {
  return { raw: true, contentTypes, description };
}

export type BodySpec = z.ZodType | RawBody;

/**
 * One endpoint as both ends see it. The hub mounts it, the OpenAPI text is made from it, the client is typed by it.
 * `path` uses `{name}` for a parameter and `{name*}` for the rest of the path.
 */
export interface Endpoint<
  Params extends z.ZodType | undefined = z.ZodType | undefined,
  Query extends z.ZodType | undefined = z.ZodType | undefined,
  Body extends BodySpec | undefined = BodySpec | undefined,
  Response extends BodySpec | undefined = BodySpec | undefined,
> {
  method: Method;
  path: string;
  access: Access;
  /** The section of the documentation. */
  tag: string;
  summary: string;
  description?: string;
  params?: Params;
  query?: Query;
  /** Request headers that matter, by lower-case name. */
  headers?: Record<string, string>;
  body?: Body;
  /** The answer on success. */
  response?: Response;
  /** Success status; the first is the usual one. */
  status: readonly number[];
  /** Headers that every answer carries, refusals included. */
  answerHeaders?: Readonly<Record<string, string>>;
  /** Codes of the catalogue that this endpoint answers with, besides the common ones. */
  errors?: readonly ErrorCode[];
}

export function defineEndpoint<
  const Params extends z.ZodType | undefined = undefined,
  const Query extends z.ZodType | undefined = undefined,
  const Body extends BodySpec | undefined = undefined,
  const Response extends BodySpec | undefined = undefined,
>(endpoint: Endpoint<Params, Query, Body, Response>): Endpoint<Params, Query, Body, Response> {
  return endpoint;
}

/** The parsed form of a schema, or undefined where the endpoint has none. */
export type ParsedOf<S> = S extends z.ZodType ? z.output<S> : undefined;
/** What a caller sends for a schema, before defaults are filled in. */
export type InputOf<S> = S extends z.ZodType ? z.input<S> : undefined;
