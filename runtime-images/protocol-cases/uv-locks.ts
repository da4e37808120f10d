// uv.lock files as uv writes them, for builds that must not run uv beforehand.
const head = `version = 1
revision = 5
requires-python = ">=3.12"
`;
const itsdangerous = `
[[package]]
name = "itsdangerous"
version = "2.2.0"
source = { registry = "https://pypi.org/simple" }
wheels = [
    { url = "https://files.pythonhosted.org/packages/04/96/92447566d16df59b2a776c0fb82dbc4d9e07cd95062562af01e408583fc4/itsdangerous-2.2.0-py3-none-any.whl", hash = "sha256:c6242fc49e35958c8b15141343aa660db5fc54d4f13a1db01a3f5891b98700ef", size = 16234 },
]
`;

/** A project `x` that depends on itsdangerous. */
export const projectLock = `${head}${itsdangerous}
[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "itsdangerous" }]

[package.metadata]
requires-dist = [{ name = "itsdangerous", specifier = "==2.2.0" }]
`;

/** A project `shop` that depends on the member `prices` of its workspace, which depends on itsdangerous. */
export const workspaceLock = `${head}
[manifest]
members = ["prices", "shop"]
${itsdangerous}
[[package]]
name = "prices"
version = "1"
source = { editable = "packages/prices" }
dependencies = [{ name = "itsdangerous" }]

[[package]]
name = "shop"
version = "1"
source = { editable = "." }
dependencies = [{ name = "prices" }]
`;
