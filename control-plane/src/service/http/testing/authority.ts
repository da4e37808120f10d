// A certificate authority like the chart's: its certificates are valid for servers and for clients.
// eslint-disable-next-line import/no-unassigned-import -- must come first: a dependency of @peculiar/x509 expects it
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;
const makeKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
const lasting = (hours: number) => ({ notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + hours * HOUR_MS) });

export interface Identity {
  cert: string;
  key: string;
}

interface Authority {
  ca: string;
  issue(dnsName: string, ...more: string[]): Promise<Identity>;
}

export async function createAuthority(name: string, hours = 1): Promise<Authority> {
  const life = () => lasting(hours);
  const keys = await makeKeys();
  const extensions = [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
  ];
  const own = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: ALGORITHM,
    extensions,
    ...life(),
  });
  return {
    ca: own.toString("pem"),
    async issue(dnsName, ...more) {
      const { publicKey, privateKey } = await makeKeys();
      const leaf = await X509CertificateGenerator.create({
        subject: `CN=${dnsName}`,
        issuer: own.subject,
        publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: ALGORITHM,
        extensions: [
          new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
          new SubjectAlternativeNameExtension([dnsName, ...more].map((value) => ({ type: "dns", value }))),
          // Strict verifiers want to know the key that signed (RFC 5280 section 4.2.1.1); Python 3.13 is one.
          await AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ],
        ...life(),
      });
      const key = PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", privateKey), "PRIVATE KEY");
      return { cert: leaf.toString("pem"), key };
    },
  };
}
