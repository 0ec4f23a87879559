import { HoldfastError } from '@holdfast/contract/errors';
import type { FieldProblem } from '@holdfast/contract/errors';

/** A refusal that only a change of the configuration mends: not retryable, with the field to look at. */
export function misconfigured(field: FieldProblem['field'], sentence: string): HoldfastError {
  return new HoldfastError('backend_unavailable', sentence, {
    retryable: false,
    errors: [{ field, message: sentence }],
  });
}

/**
 * The error for the status of a login response (RFC 7143 §11.13.5).
 * @param status class and detail, as `class << 8 | detail`
 */
export function loginFailure(status: number, target: string): HoldfastError {
  switch (status) {
    case 0x02_01:
      return misconfigured(
        'config.chap_password',
        'The iSCSI target refuses the login: name or password of CHAP are wrong, or CHAP is needed and switched off. ' +
          'Check chap_enabled, chap_username and chap_password.',
      );
    case 0x02_02:
      return misconfigured(
        'config.initiator_name',
        `The iSCSI target ${target} does not let this initiator in. Add the name of initiator_name to the access list ` +
          'of the target, or set initiator_name to a name that is on it.',
      );
    case 0x02_03:
    case 0x02_04:
      return misconfigured(
        'config.target',
        `The iSCSI server has no target ${target}. Check the field target: it must be the whole IQN.`,
      );
    case 0x02_06:
      return new HoldfastError(
        'backend_unavailable',
        `The iSCSI target ${target} takes no more connections. Close others, or raise its limit.`,
      );
    case 0x03_01:
    case 0x03_02:
      return new HoldfastError(
        'backend_unavailable',
        `The iSCSI target ${target} is not ready for logins at the moment. It is tried again.`,
      );
    default: {
      const code = `0x${status.toString(16).padStart(4, '0')}`;
      const text = `The iSCSI target ${target} refuses the login with status ${code} (RFC 7143, section 11.13.5).`;
      return new HoldfastError('backend_unavailable', `${text} Look into the log of the target.`, {
        retryable: status >> 8 === 3,
      });
    }
  }
}
