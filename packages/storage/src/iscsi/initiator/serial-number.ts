/** The next number after a serial number of 32 bits (RFC 1982, as RFC 7143 §3.2.2 uses it). */
export function nextSerial(number: number): number {
  return (number + 1) >>> 0;
}

/** Whether `a` comes after `b` in serial arithmetic. */
export function isAfter(a: number, b: number): boolean {
  return a !== b && (a - b) >>> 0 < 0x8000_0000;
}
