const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const month = `(?<month>${months.join('|')})`;
const time = String.raw`(?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2})`;
const shortDay = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const longDay = '(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day';

// RFC 9110 §5.6.7: IMF-fixdate, and the two obsolete forms that a recipient must accept.
const forms = [
  new RegExp(String.raw`^${shortDay}, (?<day>\d{2}) ${month} (?<year>\d{4}) ${time} GMT$`),
  new RegExp(String.raw`^${longDay}, (?<day>\d{2})-${month}-(?<year>\d{2}) ${time} GMT$`),
  new RegExp(String.raw`^${shortDay} ${month} (?<day>[ \d]\d) ${time} (?<year>\d{4})$`),
];

/** A date as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7); parts of a second are cut off. */
export function httpDate(date: Date): string {
  return new Date(Math.floor(date.getTime() / 1000) * 1000).toUTCString();
}

/**
 * Reads an HTTP date in any of the three forms of RFC 9110 §5.6.7; undefined when it is none, or no day of the
 * calendar. The name of the weekday is not compared with the date.
 * @param now what a year of two digits is measured against: one more than 50 years ahead is in the past century.
 */
export function parseHttpDate(value: string, now: Date = new Date()): Date | undefined {
  const text = value.trim();
  for (const form of forms) {
    const parts = form.exec(text)?.groups;
    if (parts === undefined) continue;
    return fromParts(parts, now);
  }
  return undefined;
}

function fromParts(parts: Record<string, string | undefined>, now: Date): Date | undefined {
  const number = (name: string): number => Number(parts[name] ?? Number.NaN);
  const monthIndex = months.indexOf(parts['month'] ?? '');
  const [day, hour, minute, second] = [number('day'), number('hour'), number('minute'), number('second')];
  let year = number('year');
  if (parts['year']?.length === 2) {
    year += Math.floor(now.getUTCFullYear() / 100) * 100;
    if (year > now.getUTCFullYear() + 50) year -= 100;
  }
  // RFC 9110 §5.6.7 allows a second of 60, for leap seconds.
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(year, monthIndex, day);
  if (date.getUTCMonth() !== monthIndex || date.getUTCDate() !== day) return undefined;
  date.setUTCHours(hour, minute, second);
  return date;
}
