import { expect, it } from "vitest";
import { EMPTY, artifactManifest, livingWith, ofType, referrerOf } from "./artifact.ts";
import { MEDIA } from "./oci.ts";
import { sha256 } from "../service/digest.ts";

const subject = { mediaType: MEDIA.manifest, digest: sha256(Buffer.from("subject")), size: 7 };
const TYPE = "application/vnd.example";

it("has the empty descriptor that the image-spec gives in numbers", () => {
  expect(EMPTY.descriptor).toEqual({
    mediaType: "application/vnd.oci.empty.v1+json",
    digest: "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    size: 2,
  });
});

it("makes equal bytes of equal input, and no annotations of none", () => {
  const make = () => artifactManifest(subject, { artifactType: TYPE, layers: [] });
  expect(make().bytes.equals(make().bytes)).toBe(true);
  expect(JSON.parse(make().bytes.toString())).not.toHaveProperty("annotations");
});

it.each([
  [TYPE, true],
  [`a/${"b".repeat(127)}`, true],
  [`a/${"b".repeat(128)}`, false],
  [`${"a".repeat(127)}/b`, true],
  [`${"a".repeat(128)}/b`, false],
  ["application", false],
  ["", false],
  ["a/b\n", false],
])("takes for a media type what is one (RFC 6838): %j", (artifactType, taken) => {
  const make = () => artifactManifest(subject, { artifactType, layers: [] });
  if (taken) expect(JSON.parse(make().bytes.toString())).toMatchObject({ artifactType });
  else expect(make).toThrow(/artifactType/);
});

it("lists what it was given, without what a name in an index would add", () => {
  const annotated = { ...subject, annotations: { "org.opencontainers.image.ref.name": "x" } };
  expect(referrerOf(annotated, { artifactType: TYPE })).toEqual({ ...subject, artifactType: TYPE });
  expect(ofType([{ ...subject, artifactType: TYPE }, subject], TYPE)).toEqual([{ ...subject, artifactType: TYPE }]);
});

it("keeps what hangs on what lives, in whatever order it is listed, and nothing else", () => {
  const chain = [
    { digest: "4", subject: "3" },
    { digest: "3", subject: "2" },
    { digest: "2", subject: "1" },
    { digest: "b", subject: "a" },
    { digest: "c", subject: undefined },
  ];
  expect([...livingWith(["1"], chain)].toSorted()).toEqual(["1", "2", "3", "4"]);
  expect([...livingWith([], chain)]).toEqual([]);
});
