import { assert, describe, it } from "@effect/vitest"
import * as Ports from "../../../src/programs/container-options/Ports.ts"

const shown = (mapping: string) =>
  Ports.parse(mapping)?.map((port) => `${port.host === undefined ? "" : `${port.host}:`}${Ports.keyOf(port)}`)

describe("Ports", () => {
  it.each([
    ["80", ["80"]],
    [" 80 ", ["80"]],
    ["8080:80", ["8080:80"]],
    ["53:53/udp", ["53:53/udp"]],
    ["53/UDP", ["53/udp"]],
    ["80/tcp", ["80"]],
    ["127.0.0.1:5432:5432", ["5432:5432"]],
    ["127.0.0.1::5432", ["5432"]],
    ["localhost:5432:5432", ["5432:5432"]],
    ["[::1]:8080:80", ["8080:80"]],
    ["3000-3002", ["3000", "3001", "3002"]],
    ["4000-4001:3000-3001/udp", ["4000:3000/udp", "4001:3001/udp"]],
    ["4000-4010:3000", ["4000:3000"]],
    ["4000-4010:3000-3001", undefined],
    ["0", undefined],
    ["65536", undefined],
    ["80:70000", undefined],
    ["3002-3000", undefined],
    ["80/sctp", undefined],
    ["", undefined],
    ["a:b", undefined],
    ["1:2:3:4", undefined],
    ["80:", undefined]
  ] as ReadonlyArray<[string, ReadonlyArray<string> | undefined]>)("%s", (mapping, ports) => {
    assert.deepStrictEqual(shown(mapping), ports)
  })
})
