import { z } from 'zod';

const controlCharacter = /\p{Cc}/u;

/** The name of a machine as it calls itself: 1–253 characters (RFC 1035 §2.3.4) without blanks, slashes and control characters. */
export const hostname = z
  .string()
  .min(1, 'must not be empty')
  .max(253, 'must be at most 253 characters')
  .refine(
    (text) => !/[\s/\\]/u.test(text) && !controlCharacter.test(text) && text.isWellFormed(),
    'must not hold blanks, slashes or control characters',
  )
  .meta({ examples: ['build-7.lab.example'] });

/** A file's path on its own machine, in that machine's form; kept as it is. At most 4096 characters, no NUL. */
export const filepath = z
  .string()
  .min(1, 'must not be empty')
  .max(4096, 'must be at most 4096 characters')
  .refine((text) => !text.includes('\0') && text.isWellFormed(), 'must not hold NUL or broken Unicode')
  .meta({ examples: ['/home/ada/plan.txt'] });

/** Permission bits of a file, set-user-id and the like included: 0 to 4095 (07777). */
export const fileMode = z
  .int()
  .min(0)
  .max(0o7777)
  .meta({ examples: [420] });
