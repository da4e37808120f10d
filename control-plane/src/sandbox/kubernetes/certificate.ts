// The TLS key of one instance: it is made for that instance, given in its pod's spec, and trusted only by processes that were told its
// certificate (SECURITY B8).
// eslint-disable-next-line import/no-unassigned-import -- must come first: a dependency of @peculiar/x509 expects it
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const MINUTE_MS = 60_000;
/** The node's clock may be behind ours. */
const SKEW_MS = 5 * MINUTE_MS;

export interface InstanceCertificate {
  /** PEM, PKCS #8. */
  key: string;
  /** PEM; self-signed, with the instance's id as DNS name (RFC 5280 section 4.2.1.6). */
  certificate: string;
}

/** `lifeMs`: how long the certificate is valid from now; after that every new connection to the instance fails. */
export async function createInstanceCertificate(id: string, lifeMs: number): Promise<InstanceCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const now = Date.now();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${id}`,
    notBefore: new Date(now - SKEW_MS),
    notAfter: new Date(now + lifeMs),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: "dns", value: id }]),
    ],
  });
  const key = PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { key, certificate: certificate.toString("pem") };
}
