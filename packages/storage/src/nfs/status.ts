/** Status codes of NFS: those of RFC 1813 §2.6 and RFC 8881 §15.1 share their numbers where both have them. */
export const nfsStatus = {
  OK: 0,
  PERM: 1,
  NOENT: 2,
  IO: 5,
  NXIO: 6,
  ACCESS: 13,
  EXIST: 17,
  XDEV: 18,
  NODEV: 19,
  NOTDIR: 20,
  ISDIR: 21,
  INVAL: 22,
  FBIG: 27,
  NOSPC: 28,
  ROFS: 30,
  MLINK: 31,
  NAMETOOLONG: 63,
  NOTEMPTY: 66,
  DQUOT: 69,
  STALE: 70,
  REMOTE: 71,
  BADHANDLE: 10001,
  NOT_SYNC: 10002,
  BAD_COOKIE: 10003,
  NOTSUPP: 10004,
  TOOSMALL: 10005,
  SERVERFAULT: 10006,
  BADTYPE: 10007,
  DELAY: 10008,
  EXPIRED: 10011,
  GRACE: 10013,
  FHEXPIRED: 10014,
  SHARE_DENIED: 10015,
  WRONGSEC: 10016,
  CLID_INUSE: 10017,
  RESOURCE: 10018,
  MOVED: 10019,
  MINOR_VERS_MISMATCH: 10021,
  STALE_CLIENTID: 10022,
  STALE_STATEID: 10023,
  OLD_STATEID: 10024,
  BAD_STATEID: 10025,
  NOT_SAME: 10027,
  SYMLINK: 10029,
  NO_GRACE: 10033,
  BADXDR: 10036,
  OPENMODE: 10038,
  BADCHAR: 10040,
  BADNAME: 10041,
  OP_ILLEGAL: 10044,
  FILE_OPEN: 10046,
  ADMIN_REVOKED: 10047,
  BADSESSION: 10052,
  BADSLOT: 10053,
  COMPLETE_ALREADY: 10054,
  CONN_NOT_BOUND_TO_SESSION: 10055,
  SEQ_MISORDERED: 10063,
  REQ_TOO_BIG: 10065,
  REP_TOO_BIG: 10066,
  RETRY_UNCACHED_REP: 10068,
  TOO_MANY_OPS: 10070,
  OP_NOT_IN_SESSION: 10071,
  SEQ_FALSE_RETRY: 10076,
  BAD_HIGH_SLOT: 10077,
  DEADSESSION: 10078,
  WRONG_TYPE: 10083,
} as const;

const names = new Map<number, string>(Object.entries(nfsStatus).map(([name, status]) => [status, name]));

/** The name of a status as messages give it. */
export function statusName(status: number): string {
  return names.get(status) ?? `status ${status}`;
}

/** The last status of RFC 8276, the newest of those that add some: NFS4ERR_XATTR2BIG. */
const LAST_STATUS = 10_096;

/** Whether a number can be a status. Others were changed on their way. */
export function isPossibleStatus(status: number): boolean {
  return names.has(status) || (status > nfsStatus.BADHANDLE && status <= LAST_STATUS);
}

const suspicious: ReadonlySet<number> = new Set([
  nfsStatus.PERM,
  nfsStatus.ACCESS,
  nfsStatus.XDEV,
  nfsStatus.INVAL,
  nfsStatus.FBIG,
  nfsStatus.ROFS,
  nfsStatus.STALE,
  nfsStatus.BADHANDLE,
  nfsStatus.BADXDR,
  nfsStatus.OP_ILLEGAL,
  nfsStatus.MINOR_VERS_MISMATCH,
  nfsStatus.OP_NOT_IN_SESSION,
  nfsStatus.REQ_TOO_BIG,
  nfsStatus.REP_TOO_BIG,
  nfsStatus.TOO_MANY_OPS,
]);

/** Whether a status speaks of a request that may have been changed on its way: it is believed when it comes twice. */
export function isSuspicious(status: number): boolean {
  return suspicious.has(status);
}
