// What the examples find outside when `npm run up -- --example-servers` plays the outside: names of a domain that is nobody's (RFC 6761), and the
// one address that they lead to.

/** On loopback, and on no other address of the machine, so that nothing else of it is opened with it. */
export const ADDRESS = "127.78.0.1";
export const DOMAIN = ".test";
export const WEATHER = "api.weather.test";
export const PORTS = { dns: 8053, https: 443, postgres: 5432 } as const;
/** What an operator opens of it to functions. */
export const OPENED = { addresses: ADDRESS, ports: [PORTS.https, PORTS.postgres] };
