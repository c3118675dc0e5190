/** Which network addresses are public. Source: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890 and updates). */
import { BlockList, isIP } from 'node:net';

/** What no packet of ours goes to unless configuration lists it: private, loopback, link-local, documentation, multicast, reserved, translated. */
const SPECIAL = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
  ...['::/96', '64:ff9b::/96', '64:ff9b:1::/48', '100::/64', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'],
  ...['5f00::/16', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8'],
] as const;

/** Networks in CIDR form, `10.0.0.0/8` or `::1/128`. */
export class Networks {
  readonly #list = new BlockList();

  /** @throws TypeError on a text that is not a network */
  constructor(networks: Iterable<string>) {
    for (const network of networks) {
      const [, address = '', bits = ''] = /^([0-9a-f.:]+)\/(\d{1,3})$/i.exec(network) ?? [];
      const family = isIP(address);
      if (family === 0 || Number(bits) > (family === 4 ? 32 : 128)) throw new TypeError(`${network} is not a network`);
      this.#list.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) is the IPv4 address. */
  has(address: string): boolean {
    return this.#list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
}

const special = new Networks(SPECIAL);

/** False for anything that is not an address, too. */
export function isPublic(address: string): boolean {
  return isIP(address) !== 0 && !special.has(address);
}
