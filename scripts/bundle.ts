/**
 * Bundles a program (src/programs/<name>/main.ts) into <folder>/index.js: one minified CommonJS file that needs no node_modules
 * and runs on Node 20, the Node of the Actions runner. CommonJS, because an ESM import of node:http costs 5 to 13 ms at every
 * start; behind a loader (loader.cjs) that keeps what V8 has compiled.
 */

import { chmodSync, cpSync, globSync, readFileSync, writeFileSync } from "node:fs"
import { isBuiltin } from "node:module"
import { dirname, join } from "node:path"
import { deflateRawSync } from "node:zlib"
import * as esbuild from "esbuild"

const root = dirname(import.meta.dirname)

/** The licences of the packages in a bundle ask to travel with it. */
const notices = (inputs: ReadonlyArray<string>) => {
  const folders = new Set<string>()
  for (const input of inputs) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]
    if (folder !== undefined) folders.add(folder)
  }
  return [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"))
    const texts = globSync("{LICENSE,LICENCE,license}*", { cwd: join(root, folder) })
    const text = texts.map((file) => readFileSync(join(root, folder, file), "utf8").trim()).join("\n\n")
    return `${name} ${version} (${license})\n\n${text}\n`
  })
}

/**
 * Programs are clients, and ask for no compression: what `ws` has beyond that is 15 KB, and zlib at every start. What is left is loaded by
 * whoever connects.
 */
const clientOfWs: esbuild.Plugin = {
  name: "client of ws",
  setup: (build) => {
    const unused = /[\\/]ws[\\/]lib[\\/](?:websocket-server|stream|subprotocol|permessage-deflate)\.js$/
    build.onLoad({ filter: unused }, ({ path }) => ({
      loader: "js",
      contents: path.includes("deflate") ? 'exports.extensionName = "permessage-deflate"' : ""
    }))
    build.onResolve({ filter: /^@effect\/platform-node\/NodeWS$/ }, ({ path, resolveDir }) => ({
      path,
      namespace: "ws",
      pluginData: resolveDir
    }))
    build.onLoad({ filter: /./, namespace: "ws" }, ({ pluginData }) => ({
      resolveDir: pluginData,
      contents: 'Object.defineProperty(exports,"WebSocket",{enumerable:true,get:()=>require("ws")})'
    }))
  }
}

/** They take some ms and 1 to 3 MB each, and most calls of a program need few of them: a script step through a volume opens no connection. */
const heavy = new Set(["child_process", "crypto", "http", "http2", "https", "net", "tls", "zlib"])

/**
 * Node's own modules. Heavy ones are loaded by whoever uses something of them. And none is copied: for each `import * as` esbuild makes an object of
 * its own, into which it copies what a module has (100 names of `fs`, 70 times), but not what it inherits.
 */
const nodeModules: esbuild.Plugin = {
  name: "modules of Node",
  setup: (build) => {
    build.onResolve({ filter: /./ }, ({ importer, kind, path }) => {
      const name = path.replace(/^node:/, "")
      if (!isBuiltin(path) || importer.startsWith("node ")) return undefined
      // What is required as it is may be a function, as `events` is.
      if (kind === "require-call" && !heavy.has(name)) return { path, external: true }
      return { path: `node ${name}`, namespace: "node" }
    })
    build.onLoad({ filter: /./, namespace: "node" }, ({ path }) => {
      const name = path.slice("node ".length)
      return { loader: "js", contents: heavy.has(name) ? inherited(name) : inheriting(name) }
    })
  }
}

/** What has all that a module has; a function, as `events` is, stays one. */
const inheriting = (name: string) =>
  `const all=require("node:${name}");module.exports=typeof all==="function"?all:Object.create(all)`

/** The same, loaded when something of it is asked for. */
const inherited = (name: string) =>
  `module.exports=Object.create(new Proxy({},{get:(_,key)=>require("node:${name}")[key]}))`

/**
 * What V8 is told before a program runs, on the runner's Node 20 only, whose V8 knows these. The hook lives for some ten ms, in which code is
 * optimised that will not run again: its compiler alone is 4 MB. And a young generation that does not grow is collected sooner, and with
 * it the memory of all that has come over a connection.
 */
const flags: Readonly<Record<string, string>> = {
  hook: "--interrupt-budget=100000000 --semi-space-growth-factor=1 --no-concurrent-recompilation"
}

/** Gives what esbuild says of it. */
export const bundle = async (name: string, folder: string): Promise<esbuild.Metafile> => {
  const { metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [`src/programs/${name}/main.ts`],
    outfile: join(folder, "index.js"),
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    minify: true,
    metafile: true,
    conditions: ["@jobscope/source"],
    // Only for exec plugins and OIDC, and 4 MB: loaded from beside the program, if it is there.
    external: ["@kubernetes/client-node"],
    // CommonJS has no import.meta.url; the banner makes one, because createRequire and `new URL(..)` ask for it.
    define: {
      "import.meta.url": "__importMetaUrl",
      // `ws` would look for them in node_modules.
      "process.env.WS_NO_BUFFER_UTIL": '"1"',
      "process.env.WS_NO_UTF_8_VALIDATE": '"1"'
    },
    banner: { js: '"use strict";const __importMetaUrl=require("node:url").pathToFileURL(__filename).href;' },
    logLevel: "warning",
    plugins: [clientOfWs, nodeModules]
  })
  const file = join(folder, "index.js")
  // One byte a character, as the loader reads it. esbuild escapes all but regular expressions, where it means the same.
  const text = readFileSync(file, "utf8").replace(
    /[^\0-\xff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
  const wrapped = `(function (exports, require, module, __filename, __dirname) {${text}\n})`
  const program = deflateRawSync(Buffer.from(wrapped, "latin1"), { level: 9 }).toString("base64")
  const settings =
    flags[name] === undefined
      ? ""
      : `if(process.version.startsWith("v20."))require("node:v8").setFlagsFromString("${flags[name]}");`
  const loader = `"use strict";${settings}${readFileSync(join(import.meta.dirname, "loader.cjs"), "utf8")}`
  const { code } = await esbuild.transform(loader, { minify: true, target: "node20", format: "cjs" })
  writeFileSync(file, `#!/usr/bin/env node\n${code.trim()}\n/*\n${program}\n*/\n`)
  chmodSync(join(folder, "index.js"), 0o755)
  writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }\n')
  // What is called instead of a bundle, to choose a Node for it.
  for (const script of globSync("*.sh", { cwd: join(root, "src/programs", name) })) {
    cpSync(join(root, "src/programs", name, script), join(folder, script))
    chmodSync(join(folder, script), 0o755)
  }
  writeFileSync(
    join(folder, "THIRD-PARTY-NOTICES.txt"),
    notices(Object.keys(metafile.inputs)).join(`\n${"-".repeat(80)}\n\n`)
  )
  return metafile
}
