// What every bundled program begins with. The program itself is the comment at the end of the file (deflated, in base64), which V8 skips, so
// that nothing of it is compiled twice: V8 compiles it once, keeps what it made of it (`vm.Script`, cachedData), and the next start takes that.
// Node 20, which the Actions runner brings, has no compile cache of its own.
//
// The cache is code, so it is taken only from a directory of our own user that nobody else can write to. Whatever goes wrong with it, the program
// is compiled as if there were none. JOBSCOPE_CODE_CACHE names another directory, or is `off`.
"use strict"
const fs = require("node:fs")
const vm = require("node:vm")
const zlib = require("node:zlib")

const uid = process.getuid?.() ?? 0
const wanted = process.env.JOBSCOPE_CODE_CACHE
const directory = wanted || `${process.env.TMPDIR || "/tmp"}/jobscope-code-${uid}`
const text = fs.readFileSync(__filename, "latin1")
const packed = Buffer.from(text.slice(text.lastIndexOf("\n/*\n") + 4, text.lastIndexOf("\n*/")), "base64")
const source = `(function (exports, require, module, __filename, __dirname) {${zlib.inflateRawSync(packed)}\n})`

const trusted = () => {
  const { mode, uid: owner } = fs.lstatSync(directory)
  return (mode & 0o170077) === 0o040000 && owner === uid
}
/** @type {string | undefined} */
let file
let cachedData
if (wanted !== "off" && process.platform !== "win32") {
  try {
    // Another build, another Node: another file.
    const { mtimeMs, size } = fs.statSync(__filename)
    const name = [__filename, size, mtimeMs, process.version, process.arch]
      .join("|")
      .replace(/[^\w.-]+/g, "_")
      .slice(-200)
    file = `${directory}/${name}`
    if (trusted()) cachedData = fs.readFileSync(file)
  } catch {}
}
const script = new vm.Script(source, {
  filename: __filename,
  cachedData,
  importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER
})
if (file !== undefined && (cachedData === undefined || script.cachedDataRejected)) {
  // At the end, when all that a run needs has been compiled.
  process.on("exit", () => {
    try {
      // Not recursive: Node makes /proc/x for ever.
      if (!fs.existsSync(directory)) fs.mkdirSync(directory, { mode: 0o700 })
      if (!trusted()) return
      const made = `${file}.${process.pid}`
      fs.writeFileSync(made, script.createCachedData(), { mode: 0o600 })
      fs.renameSync(made, file)
    } catch {}
  })
}
script.runInThisContext().call(exports, exports, require, module, __filename, __dirname)
