import { z } from 'zod';

/**
 * A 48-bit MAC address in lower-case colon form (`52:54:00:12:34:56`), or undefined when the text is none.
 * Takes six pairs joined by `-` or `:`, three groups of four joined by `.`, and bare hexadecimal, in any case.
 */
export function normaliseMac(text: string): string | undefined {
  const match =
    /^(?:[0-9a-f]{12}|[0-9a-f]{2}([-:])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4})$/i;
  const trimmed = text.trim();
  if (!match.test(trimmed)) return undefined;
  const digits = trimmed.replace(/[-:.]/g, '').toLowerCase();
  return digits.match(/../g)?.join(':');
}

/** A MAC address in any of the usual forms; comes out in lower-case colon form. */
export const macInput = z
  .string()
  .transform((text, context) => {
    const mac = normaliseMac(text);
    if (mac === undefined) {
      context.addIssue({ code: 'custom', message: 'must be a MAC address such as 52:54:00:12:34:56' });
      return z.NEVER;
    }
    return mac;
  })
  .pipe(z.string())
  .meta({ examples: ['52:54:00:12:34:56', '52-54-00-12-34-56'] });

/** A MAC address in an answer. */
export const mac = z
  .string()
  .regex(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/)
  .meta({ examples: ['52:54:00:12:34:56'] });
