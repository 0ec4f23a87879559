import type { IncomingMessage } from 'node:http';
import type { HoldfastError } from '@holdfast/contract/errors';
import { errorOfAnswer } from '../problem-answer.ts';

/** Characters of an answer that is no file; those of the hub are far shorter. */
const MOST_TEXT = 64 * 1024;

/** The text of an answer, cut where it is longer than any of a hub. */
export async function textOf(answer: IncomingMessage): Promise<string> {
  answer.setEncoding('utf8');
  let text = '';
  const pieces: AsyncIterable<string> = answer;
  for await (const piece of pieces) {
    text += piece;
    if (text.length > MOST_TEXT) break;
  }
  return text;
}

export function headersOf(answer: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, values] of Object.entries(answer.headersDistinct))
    for (const value of values ?? []) headers.append(name, value);
  return headers;
}

/** What a hub says by an answer that is not the one that was asked for. */
export async function refusalOf(answer: IncomingMessage, url: string): Promise<HoldfastError> {
  const text = await textOf(answer);
  const init = { status: answer.statusCode ?? 0, headers: headersOf(answer) };
  return await errorOfAnswer(new Response(text === '' ? null : text, init), url);
}
