// What every bundled program begins with. The program itself is the comment at the end of the file (deflated, in base64), which V8 skips, so
// that nothing of it is compiled twice: V8 compiles it once, keeps what it made of it (`vm.Script`, cachedData), and the next start takes that.
// Node 20, which the Actions runner brings, has no compile cache of its own.
//
// The program's text is kept with it, so that a start with a cache unpacks nothing, and loads nothing that unpacks.
//
// The cache is code, so it is taken only from a directory of our own user that nobody else can write to. Whatever goes wrong with it, the program
// is compiled as if there were none. JOBSCOPE_CODE_CACHE names another directory, or is `off`.
"use strict"
const fs = require("node:fs")
const vm = require("node:vm")

const uid = process.getuid?.() ?? 0
const wanted = process.env.JOBSCOPE_CODE_CACHE
const directory = wanted || `${process.env.TMPDIR || "/tmp"}/jobscope-code-${uid}`

/** It has one byte a character (bundle.ts). */
const unpack = () => {
  const text = fs.readFileSync(__filename, "latin1")
  const packed = Buffer.from(text.slice(text.lastIndexOf("\n/*\n") + 4, text.lastIndexOf("\n*/")), "base64")
  return require("node:zlib").inflateRawSync(packed).toString("latin1")
}
const trusted = () => {
  const { mode, uid: owner } = fs.lstatSync(directory)
  return (mode & 0o170077) === 0o040000 && owner === uid
}
/**
 * @param {string} source
 * @param {Buffer} [cachedData]
 */
const compile = (source, cachedData) =>
  new vm.Script(source, {
    filename: __filename,
    cachedData,
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER
  })

/** What this run did, if the program says so: what it has compiled is worth keeping if no run that did the same has left it. */
const kindOf = () => {
  const said = Reflect.get(globalThis, Symbol.for("jobscope.run"))
  // A call of an API compiles as much as the rest.
  const connected = Reflect.get(process, "moduleLoadList")?.includes("NativeModule tls") === true
  return typeof said === "string" ? `${said}${connected ? " connected" : ""}` : ""
}

/** The cache: the lengths of the kinds of runs that made it, and of what V8 has made; those two, and the program. Undefined: there is none that can be used. */
const fromCache = (/** @type {string} */ file) => {
  if (!trusted()) return undefined
  const all = fs.readFileSync(file)
  const kinds = 8 + all.readUInt32LE(0)
  const made = kinds + all.readUInt32LE(4)
  const source = all.toString("latin1", made)
  const script = compile(source, all.subarray(kinds, made))
  return script.cachedDataRejected ? undefined : { script, source, kinds: all.toString("latin1", 8, kinds).split("\n") }
}
/**
 * @param {string} file
 * @param {string} source
 * @param {import("node:vm").Script} script
 * @param {ReadonlyArray<string>} kinds
 */
const toCache = (file, source, script, kinds) => {
  // Not recursive: Node makes /proc/x for ever.
  if (!fs.existsSync(directory)) fs.mkdirSync(directory, { mode: 0o700 })
  if (!trusted()) return
  const made = script.createCachedData()
  const names = Buffer.from(kinds.join("\n"))
  const lengths = Buffer.alloc(8)
  lengths.writeUInt32LE(names.length)
  lengths.writeUInt32LE(made.length, 4)
  const mine = `${file}.${process.pid}`
  fs.writeFileSync(mine, Buffer.concat([lengths, names, made, Buffer.from(source, "latin1")]), { mode: 0o600 })
  fs.renameSync(mine, file)
}

const load = () => {
  /** @type {string | undefined} */
  let file
  /** @type {ReturnType<typeof fromCache>} */
  let cached
  if (wanted !== "off" && process.platform !== "win32") {
    try {
      // Another build, another Node: another file.
      const { mtimeMs, size } = fs.statSync(__filename)
      const name = [__filename, size, mtimeMs, process.version, process.arch]
        .join("|")
        .replace(/[^\w.-]+/g, "_")
        .slice(-200)
      file = `${directory}/${name}`
      cached = fromCache(file)
    } catch {}
  }
  const source = cached?.source ?? unpack()
  const script = cached?.script ?? compile(source)
  if (file !== undefined) {
    // At the end, when all that a run needs has been compiled.
    process.on("exit", () => {
      try {
        const kind = kindOf()
        if (cached !== undefined && (kind === "" || cached.kinds.includes(kind))) return
        toCache(file, source, script, [...(cached?.kinds ?? []), kind])
      } catch {}
    })
  }
  return script
}

load().runInThisContext().call(exports, exports, require, module, __filename, __dirname)
