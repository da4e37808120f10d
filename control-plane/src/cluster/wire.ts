// Translates between the API's JSON and the client library, which renames fields that are reserved words of JavaScript and drops fields
// that it does not know. It was seen to drop `from` of a NetworkPolicy, without which a rule lets every peer in. Applied objects are
// therefore read back and compared.
import type { KubernetesObject } from "@kubernetes/client-node";

/** An object with the field names that the API server uses. */
export interface WireObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels: Record<string, string>; annotations?: Record<string, string> };
  [field: string]: unknown;
}

const RENAMED: Record<string, string> = { from: "_from", default: "_default" };
const BACK = Object.fromEntries(Object.entries(RENAMED).map(([wire, client]) => [client, wire]));

function rename(value: unknown, names: Record<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => rename(item, names));
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [names[key] ?? key, rename(item, names)]));
}

export const toClient = (object: WireObject): KubernetesObject => rename(object, RENAMED) as KubernetesObject;
export const toWire = (object: KubernetesObject): Record<string, unknown> => rename(object, BACK) as Record<string, unknown>;

/** Whether `actual` has everything that is in `wanted`; lists must be equal, objects may have more fields (defaults). */
export function holds(actual: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted))
    return Array.isArray(actual) && actual.length === wanted.length && wanted.every((item, index) => holds(actual[index], item));
  if (typeof wanted !== "object" || wanted === null) return actual === wanted;
  if (typeof actual !== "object" || actual === null) return Object.keys(wanted).length === 0 && actual === undefined;
  return Object.entries(wanted).every(([key, item]) => holds((actual as Record<string, unknown>)[key], item));
}
