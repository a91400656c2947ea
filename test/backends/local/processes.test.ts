import { spawn } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import {
  fromPs,
  type ProcessEntry,
  readProcessTable,
  startOf
} from "../../../src/backends/local/internal/processTable.ts"
import { membersOf, type TreeSeed } from "../../../src/backends/local/internal/processTree.ts"

const entry = (pid: number, parent: number, more: Partial<ProcessEntry> = {}): ProcessEntry => ({
  pid,
  parent,
  group: pid,
  session: pid,
  startedAt: `t${pid}`,
  command: `c${pid}`,
  marker: undefined,
  ...more
})
const table = (...entries: ReadonlyArray<ProcessEntry>) => new Map(entries.map((it) => [it.pid, it]))
const seed = (more: Partial<TreeSeed> = {}): TreeSeed => ({
  marked: (marker) => marker === "ours",
  seen: new Map(),
  ...more
})
const pids = (members: ReadonlyArray<ProcessEntry>) => members.map(({ pid }) => pid).sort((a, b) => a - b)

describe("membersOf", () => {
  it("finds by marker, and all descendants however deep, in whatever session", () => {
    const all = table(entry(5, 1), entry(10, 1, { marker: "ours" }), entry(11, 10), entry(12, 11), entry(20, 5))
    assert.deepStrictEqual(pids(membersOf(all, seed(), 999)), [10, 11, 12])
  })
  it("finds by group and session of a living leader", () => {
    const all = table(entry(10, 1), entry(11, 1, { group: 10 }), entry(12, 1, { session: 10 }), entry(13, 1))
    assert.deepStrictEqual(pids(membersOf(all, seed({ leader: 10 }), 999)), [10, 11, 12])
    assert.deepStrictEqual(pids(membersOf(all, seed(), 999)), [])
  })
  it("knows again what it has seen, but not another process with the same pid", () => {
    const one = seed()
    membersOf(table(entry(10, 1, { marker: "ours" }), entry(11, 10)), one, 999)
    assert.deepStrictEqual(pids(membersOf(table(entry(11, 1)), one, 999)), [11])
    assert.deepStrictEqual(pids(membersOf(table(entry(11, 1, { startedAt: "later" })), one, 999)), [])
  })
  it("never includes this process, even if it carries the marker", () => {
    const all = table(entry(10, 1, { marker: "ours" }), entry(11, 10, { marker: "ours" }))
    assert.deepStrictEqual(pids(membersOf(all, seed(), 10)), [11])
  })
  it("survives a loop of parents", () => {
    const all = table(entry(10, 11, { marker: "ours" }), entry(11, 10))
    assert.deepStrictEqual(pids(membersOf(all, seed(), 999)), [10, 11])
  })
})

describe("process table", () => {
  it("shows this process with its real parent, and the marker of a child", async () => {
    const child = spawn("sleep", ["30"], {
      env: { PATH: process.env.PATH, JOBSCOPE_ENVIRONMENT: "a marker = b" },
      detached: true
    })
    try {
      const table = readProcessTable()
      assert.strictEqual(table.get(process.pid)?.parent, process.ppid)
      assert.strictEqual(table.get(process.pid)?.startedAt, startOf(process.pid))
      const found = table.get(child.pid ?? 0)
      assert.strictEqual(found?.marker, "a marker = b")
      assert.strictEqual(found?.session, child.pid)
      assert.strictEqual(startOf(2 ** 30), undefined)
    } finally {
      child.kill("SIGKILL")
    }
  })
  it("by ps: the same parents, groups and sessions", () => {
    const byProc = readProcessTable().get(process.pid)
    const byPs = fromPs().get(process.pid)
    assert.deepStrictEqual([byPs?.parent, byPs?.group, byPs?.session], [byProc?.parent, byProc?.group, byProc?.session])
    assert.isTrue((byPs?.startedAt.length ?? 0) > 10)
  })
})
