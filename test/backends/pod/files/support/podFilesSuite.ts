/** What must hold for files of any container, on a fake cluster and on a real one. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import { BackendError, StorageFailed } from "jobscope/domain/JobError"
import { pack } from "../../../../../src/backends/pod/internal/files/Archive.ts"
import * as LocalTree from "../../../../../src/backends/pod/internal/files/LocalTree.ts"
import * as PodFiles from "../../../../../src/backends/pod/internal/files/PodFiles.ts"
import { unpack } from "../../../../../src/backends/pod/internal/files/Unpack.ts"
import { contentOf, makeTree, temporaryDirectory, widened } from "./trees.ts"

interface Container {
  readonly namespace: string
  readonly pod: string
  readonly container: string
}

/** Directories that the suite may write into, made by it. */
export interface Where {
  readonly container: Container
  /** Another one, with another kind of tar if possible. */
  readonly other: Container
  readonly externals: string
  readonly directory: string
}

/** `sending`: only what depends on how the end of the input is told. */
export type Extent = "everything" | "sending"

let directories = 0

export const podFilesSuite = <R>(
  it: Pick<Vitest.MethodsNonLive<KubeClient.KubeClient | R>, "effect">,
  name: string,
  where: Effect.Effect<Where, never, R>,
  extent: Extent = "everything"
) => {
  const test = <E>(
    title: string,
    body: (given: {
      readonly files: PodFiles.PodFiles
      readonly to: PodFiles.Place
      readonly other: PodFiles.Place
      readonly local: string
      readonly sh: (script: string) => Effect.Effect<string, BackendError>
    }) => Effect.Effect<void, E, KubeClient.KubeClient | R>
  ) =>
    it.effect(`${name}: ${title}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { container, directory, externals, other } = yield* where
          const files = yield* PodFiles.make({ externals })
          const mine = `${directory}/t${directories++}`
          const to = { ...container, directory: mine }
          const sh = (afterwards: string) =>
            Effect.map(files.push({ to, archive: pack([]), afterwards }), ({ output }) => output)
          const local = yield* temporaryDirectory
          yield* body({ files, to, other: { ...other, directory: `${mine}-other` }, local, sh })
        })
      )
    )

  test("a tree arrives as it is, and comes back as it is", ({ files, local, to }) =>
    Effect.gen(function* () {
      const [from, back] = [Path.join(local, "from"), Path.join(local, "back")]
      makeTree(from)
      const pushed = yield* files.push({ to, archive: pack([{ root: from }]) })
      assert.strictEqual(pushed.entries, Object.keys(contentOf(from)).length)
      const { value } = yield* files.pull({ from: to, select: { _tag: "All" }, into: (tar) => unpack(tar, back) })
      assert.deepStrictEqual(value.skipped, [])
      assert.deepStrictEqual(contentOf(back), widened(contentOf(from)))
      const large = "large/file"
      assert.isTrue(Fs.readFileSync(Path.join(from, large)).equals(Fs.readFileSync(Path.join(back, large))))

      const manifest = yield* files.manifest(to)
      const { manifest: mine } = yield* LocalTree.snapshot(from)
      const told = (one: LocalTree.Manifest) =>
        [...one].map(([path, { mode, mtime, size, type }]) =>
          [path, type, mode, size, type === "File" ? Math.floor(mtime / 1000) : 0].join(" ")
        )
      assert.sameMembers(told(manifest), told(mine))
    }))

  test("a change is made of what is new, what is other and what is gone", ({ files, local, to }) =>
    Effect.gen(function* () {
      const [from, back] = [Path.join(local, "from"), Path.join(local, "back")]
      makeTree(from)
      const { manifest: before } = yield* LocalTree.snapshot(from)
      yield* files.push({ to, archive: pack([{ root: from, manifest: before }]) })
      const at = (path: string) => Path.join(from, path)
      Fs.rmSync(at("bin"), { recursive: true })
      Fs.writeFileSync(at("bin"), "a file now")
      Fs.rmSync(at("secret"))
      Fs.mkdirSync(at("secret/inside"), { recursive: true })
      Fs.rmSync(at(`quo'te"$HOME\`x\``), { recursive: true })
      Fs.rmSync(at("line\nbreak"), { recursive: true })
      Fs.rmSync(at("-dash"))
      Fs.writeFileSync(at("plain.txt"), "other")
      const { manifest } = yield* LocalTree.snapshot(from)
      const { added, changed, removed } = LocalTree.delta(before, manifest)
      const archive = pack([{ root: from, manifest, paths: [...added, ...changed] }])
      yield* files.push({ to, archive, remove: removed })
      yield* files.pull({ from: to, select: { _tag: "All" }, into: (tar) => unpack(tar, back) })
      assert.sameMembers(Object.keys(contentOf(back)), Object.keys(contentOf(from)))
      assert.deepInclude(contentOf(back), { bin: "644 10 a file now", "plain.txt": "644 5 other" })
    }))

  test("an archive that fails or ends too soon is not taken for whole", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      makeTree(local)
      const broken = Stream.concat(Stream.take(pack([{ root: local }]), 1), Stream.fail("broken" as const))
      assert.strictEqual(yield* Effect.flip(files.push({ to, archive: broken })), "broken")
      const short = Stream.take(pack([{ root: local }]), 1)
      const error = yield* Effect.flip(files.push({ to, archive: short }))
      assert.include(error.message, "ends too soon")
      // What is left is mended by doing it again.
      yield* files.push({ to, archive: pack([{ root: local }]) })
      const left = yield* sh("find . -name '.jobscope-*'")
      assert.strictEqual(left, "")
    }))

  if (extent === "sending") return

  test("what a step has done is found, and only that comes back", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      const [from, back] = [Path.join(local, "from"), Path.join(local, "back")]
      makeTree(from)
      yield* files.push({ to, archive: pack([{ root: from }]) })
      const before = yield* files.manifest(to)
      yield* sh(
        `mkdir -p new/dir; echo out > new/dir/file; printf 'plain!' > plain.txt; rm -rf large none; chmod 755 empty; printf x > "two${"\n"}lines"`
      )
      const { manifest, value } = yield* files.pull({
        from: to,
        select: {
          _tag: "Picked",
          pick: (now) => {
            const { added, changed, removed } = LocalTree.delta(before, now)
            return { paths: [...added, ...changed], removed }
          }
        },
        into: (tar) => unpack(tar, back)
      })
      assert.sameMembers(
        [...value.written],
        ["new", "new/dir", "new/dir/file", "plain.txt", "hard", "empty", "two\nlines"].filter(
          // In the pod it is a file of its own.
          (path) => path !== "hard"
        )
      )
      assert.deepInclude(contentOf(back), {
        "new/dir/file": "644 4 out\n",
        "plain.txt": "644 6 plain!",
        empty: "755 0 "
      })
      const removed = LocalTree.delta(before, manifest ?? new Map()).removed
      assert.sameMembers([...removed], ["large", "none"])
    }))

  test("nothing comes back if nothing is picked", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      yield* sh("echo x > file")
      const { manifest, value } = yield* files.pull({
        from: to,
        select: { _tag: "Picked", pick: () => ({ paths: [] }) },
        into: (tar) => unpack(tar, local)
      })
      assert.deepStrictEqual(value.written, [])
      assert.deepStrictEqual(
        [...(manifest ?? [])].map(([path]) => path),
        ["file"]
      )
    }))

  test("what is newer than a file comes, of the directories that are looked at", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      yield* sh(
        "mkdir a b; echo old > a/old; echo mark > mark; touch -d '2001-01-01 00:00:00' a/old mark; echo 1 > a/new; echo 2 > b/new"
      )
      const { value } = yield* files.pull({
        from: to,
        select: {
          _tag: "Picked",
          under: ["a"],
          newerThan: `${to.directory}/mark`,
          pick: (now) => ({ paths: [...now].flatMap(([path, { type }]) => (type === "File" ? [path] : [])) })
        },
        into: (tar) => unpack(tar, local)
      })
      assert.deepStrictEqual([...value.written], ["a/new"])
    }))

  test("parts of a directory come alone", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      yield* sh("mkdir -p a/x b; echo 1 > a/x/one; echo 2 > b/two; echo 3 > ./-three")
      const paths = ["a/x", "-three"]
      const { value } = yield* files.pull({
        from: to,
        select: { _tag: "All", paths },
        into: (tar) => unpack(tar, local)
      })
      assert.sameMembers([...value.written], ["a/x", "a/x/one", "-three"])
    }))

  test("a script runs when the files are there, in the same exec", ({ files, local, to }) =>
    Effect.gen(function* () {
      Fs.writeFileSync(Path.join(local, "file"), "content")
      const { exitCode, output } = yield* files.push({
        to,
        archive: pack([{ root: local }]),
        afterwards: `cat file\necho "it's here"; ls -A\nexit 7`
      })
      assert.strictEqual(output, "contentit's here\nfile\n")
      assert.strictEqual(exitCode, 7)
    }))

  test("modes are shared with every user if that is asked for", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      makeTree(local)
      yield* files.push({ to, archive: pack([{ root: local }]), modes: "shared" })
      const output = yield* sh("stat -c '%a %n' secret bin bin/run.sh read-only/file plain.txt")
      assert.strictEqual(output, "666 secret\n777 bin\n777 bin/run.sh\n666 read-only/file\n666 plain.txt\n")
    }))

  test("what cannot be written is an error that says so", ({ files, local, sh, to }) =>
    Effect.gen(function* () {
      yield* sh("mkdir full; echo x > full/file")
      Fs.writeFileSync(Path.join(local, "full"), "in the way of a directory")
      const error = yield* Effect.flip(files.push({ to, archive: pack([{ root: local }]) }))
      assert.instanceOf(error, BackendError)
      assert.instanceOf(error.reason, StorageFailed)
      assert.match(error.message, /full.*(directory|exists)/i)
      yield* files.push({ to, archive: pack([{ root: local }]), remove: ["full"] })
    }))

  test("what is not there is an error that says so", ({ files, local, to }) =>
    Effect.gen(function* () {
      const into = (tar: Stream.Stream<Uint8Array, BackendError>) => unpack(tar, local)
      const missing = { ...to, directory: `${to.directory}/none` }
      const error = yield* Effect.flip(files.pull({ from: missing, select: { _tag: "All" }, into }))
      assert.include(error.message, "cannot be entered")
    }))

  test("files go from one container to another, and what is wanted stays here", ({ files, local, other, to }) =>
    Effect.gen(function* () {
      const [from, kept, back] = ["from", "kept", "back"].map((name) => Path.join(local, name)) as [
        string,
        string,
        string
      ]
      makeTree(from)
      yield* files.push({ to, archive: pack([{ root: from }]) })
      const first = yield* files.transfer({
        from: to,
        to: other,
        select: { _tag: "All" },
        keep: { root: kept, accept: (path) => path.startsWith("bin") },
        afterwards: "rm -rf large; echo new > added; echo more >> plain.txt"
      })
      assert.sameMembers([...(first.kept?.written ?? [])], ["bin", "bin/run.sh", "bin/up"])
      const before = yield* files.manifest(to)
      // By names and sizes: another container has other times.
      const second = yield* files.transfer({
        from: other,
        to,
        select: {
          _tag: "Picked",
          pick: (now) => ({
            paths: [...now].flatMap(([path, { size }]) => (before.get(path)?.size === size ? [] : [path])),
            removed: LocalTree.delta(before, now).removed
          })
        }
      })
      assert.strictEqual(second.pushed.entries, 2)
      yield* files.pull({ from: to, select: { _tag: "All" }, into: (tar) => unpack(tar, back) })
      const after = contentOf(back)
      assert.deepInclude(after, { added: "644 4 new\n", "plain.txt": "644 11 plain\nmore\n" })
      assert.notProperty(after, "large")
    }))
}
