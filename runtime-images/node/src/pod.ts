// How the process was told to listen in a pod (contract, POD_ENV). Read once and taken out of the environment that user code gets.
import { POD_ENV } from "./protocol.ts";

export interface PodSettings {
  port: number;
  key: string;
  certificate: string;
  codeBytes: number;
  /** `host:port` of the egress proxy; absent: there is no way out. */
  egress: string | undefined;
}

/** Undefined outside pods. */
export function takePodSettings(env: NodeJS.ProcessEnv): PodSettings | undefined {
  const { [POD_ENV.port]: port, [POD_ENV.key]: key, [POD_ENV.certificate]: certificate, [POD_ENV.codeBytes]: codeBytes } = env;
  const { [POD_ENV.egress]: egress } = env;
  for (const name of Object.values(POD_ENV)) delete env[name];
  if (port === undefined) return undefined;
  if (key === undefined || certificate === undefined) throw new Error("A pod's TLS key and certificate are missing.");
  return { port: Number(port), key, certificate, codeBytes: Number(codeBytes ?? 0), egress: egress?.replace(/^http:\/\/|\/$/g, "") };
}
