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

/** The cache: the length of what V8 has made, that, and the program. Undefined: there is none that can be used. */
const fromCache = (/** @type {string} */ file) => {
  if (!trusted()) return undefined
  const all = fs.readFileSync(file)
  const made = 4 + all.readUInt32LE(0)
  const source = all.toString("latin1", made)
  const script = compile(source, all.subarray(4, made))
  return script.cachedDataRejected ? undefined : script
}
/**
 * @param {string} file
 * @param {string} source
 * @param {import("node:vm").Script} script
 */
const toCache = (file, source, script) => {
  // Not recursive: Node makes /proc/x for ever.
  if (!fs.existsSync(directory)) fs.mkdirSync(directory, { mode: 0o700 })
  if (!trusted()) return
  const made = script.createCachedData()
  const length = Buffer.alloc(4)
  length.writeUInt32LE(made.length)
  const mine = `${file}.${process.pid}`
  fs.writeFileSync(mine, Buffer.concat([length, made, Buffer.from(source, "latin1")]), { mode: 0o600 })
  fs.renameSync(mine, file)
}

const load = () => {
  /** @type {string | undefined} */
  let file
  if (wanted !== "off" && process.platform !== "win32") {
    try {
      // Another build, another Node: another file.
      const { mtimeMs, size } = fs.statSync(__filename)
      const name = [__filename, size, mtimeMs, process.version, process.arch]
        .join("|")
        .replace(/[^\w.-]+/g, "_")
        .slice(-200)
      file = `${directory}/${name}`
      const script = fromCache(file)
      if (script !== undefined) return script
    } catch {}
  }
  const source = unpack()
  const script = compile(source)
  if (file !== undefined) {
    // At the end, when all that a run needs has been compiled.
    process.on("exit", () => {
      try {
        toCache(file, source, script)
      } catch {}
    })
  }
  return script
}

load().runInThisContext().call(exports, exports, require, module, __filename, __dirname)
