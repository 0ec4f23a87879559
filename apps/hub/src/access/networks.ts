import ipaddr from 'ipaddr.js';

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Matches addresses against CIDR ranges. IPv4-mapped IPv6 addresses count as IPv4. Answers are cached by address. */
export class NetworkMatcher {
  readonly #ranges: Range[];
  readonly #answers = new Map<string, boolean>();

  /** @param cidrs valid CIDR texts, such as `10.0.0.0/8` or `fd00::/8` */
  constructor(cidrs: readonly string[]) {
    this.#ranges = cidrs.map((cidr) => ipaddr.parseCIDR(cidr));
  }

  matches(address: string): boolean {
    const known = this.#answers.get(address);
    if (known !== undefined) return known;
    const answer = this.#match(address);
    if (this.#answers.size >= 10_000) this.#answers.clear();
    this.#answers.set(address, answer);
    return answer;
  }

  #match(address: string): boolean {
    if (!ipaddr.isValid(address)) return false;
    const parsed = ipaddr.process(address);
    return this.#ranges.some(([network, bits]) => {
      if (network.kind() !== parsed.kind()) return false;
      return parsed.match(network, bits);
    });
  }
}
