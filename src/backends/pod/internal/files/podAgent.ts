/**
 * What replaces tar, find and stat in images without them: a program for any node, sent along when it is needed.
 *
 * It is text, because it runs elsewhere: it may use nothing of this program. `x` unpacks its input into the working directory, `a` packs the
 * paths that follow with all that is in them, `s` (nonce, marker file or "", paths) tells what is there and packs what it is asked for.
 */

/** The program, in the one line that the scripts read. */
export const podAgent = (): string => Buffer.from(source).toString("base64")

const source = String.raw`"use strict";
const fs = require("fs"), path = require("path"), args = process.argv.slice(2), mode = args.shift();
let failed = 0;
const again = (f) => { for (;;) try { return f() } catch (e) { if (e.code === "EOF") return 0; if (e.code !== "EAGAIN") throw e; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2) } };
const complain = (p, e) => { failed = 2; fs.writeSync(2, "tar: " + p + ": " + (e.code === "ENOENT" ? "No such file or directory" : e.message) + "\n") };
let input = Buffer.alloc(0);
const more = () => { const b = Buffer.allocUnsafe(262144), n = again(() => fs.readSync(0, b, 0, b.length, null)); if (n === 0) throw new Error("the input ends too soon"); return b.subarray(0, n) };
const take = (n) => { while (input.length < n) input = Buffer.concat([input, more()]); const b = input.subarray(0, n); input = input.subarray(n); return b };
const body = (n, each) => { while (n > 0) { if (input.length === 0) input = more(); const b = input.subarray(0, n); input = input.subarray(b.length); n -= b.length; each(b) } };
const line = () => { let s = ""; for (;;) { const c = take(1); if (c[0] === 10) return s; s += c.toString("latin1") } };
const write = (b) => { for (let o = 0; o < b.length;) o += again(() => fs.writeSync(1, b, o, b.length - o)) };
let pile = [], height = 0;
const flush = () => { if (height > 0) write(Buffer.concat(pile)); pile = []; height = 0 };
const put = (b) => { pile.push(b); height += b.length; if (height > 262144) flush() };
const pad = (n) => (512 - (n % 512)) % 512;
const text = (b, o, n) => { const s = b.subarray(o, o + n), z = s.indexOf(0); return (z < 0 ? s : s.subarray(0, z)) };
const num = (b, o, n) => b[o] & 128 ? Number(b.readBigUInt64BE(o + n - 8)) : parseInt(b.toString("latin1", o, o + n).replace(/^ +/, ""), 8) || 0;
function unpack() {
  let name, link, size, zero = 0;
  const dirs = new Map();
  for (;;) {
    const h = take(512);
    if (h[0] === 0 && h.every((c) => c === 0)) { if (zero++) break; continue }
    const flag = h[156] === 0 ? "0" : String.fromCharCode(h[156]), length = num(h, 124, 12);
    if ("LKxg".includes(flag)) {
      const data = Buffer.from(take(length)); take(pad(length));
      if (flag === "L") name = text(data, 0, length);
      if (flag === "K") link = text(data, 0, length);
      if (flag === "x") for (let o = 0; o < length;) {
        const l = parseInt(data.toString("latin1", o, o + 20)), r = data.subarray(data.indexOf(32, o) + 1, o + l - 1), q = r.indexOf(61), key = r.toString("latin1", 0, q), value = r.subarray(q + 1);
        if (key === "path") name = value; if (key === "linkpath") link = value; if (key === "size") size = Number(value.toString()); o += l }
      continue }
    const prefix = h.toString("latin1", 257, 263) === "ustar\0" ? text(h, 345, 155) : Buffer.alloc(0);
    const to = Buffer.concat([Buffer.from("./"), name || Buffer.concat(prefix.length ? [prefix, Buffer.from("/"), text(h, 0, 100)] : [text(h, 0, 100)])]);
    const target = link || Buffer.from(text(h, 157, 100)), bytes = flag === "0" || flag === "7" ? (size === undefined ? length : size) : 0, perm = num(h, 100, 8) & 4095, time = num(h, 136, 12);
    name = link = size = undefined;
    const shown = to.toString().replace(/\/+$/, "");
    if (shown.split("/").includes("..")) throw new Error("a path leads out: " + shown);
    let fd;
    try {
      const stat = (() => { try { return fs.lstatSync(to.toString().endsWith("/") ? to.subarray(0, to.lastIndexOf(47)) : to) } catch (e) { if (e.code !== "ENOENT" && e.code !== "ENOTDIR") throw e } })();
      const parent = to.subarray(0, to.lastIndexOf(47, to.length - 2));
      if (flag === "5") { if (stat && !stat.isDirectory()) fs.unlinkSync(to.subarray(0, to.length - 1)); fs.mkdirSync(to, { recursive: true }); dirs.set(to.toString("latin1"), [to, perm, time]) }
      else if ("0127".includes(flag)) {
        if (stat) stat.isDirectory() ? fs.rmdirSync(to) : fs.unlinkSync(to); else fs.mkdirSync(parent, { recursive: true });
        if (flag === "1") fs.linkSync(target, to);
        else if (flag === "2") fs.symlinkSync(target, to);
        else { fd = fs.openSync(to, "wx", perm); }
      }
    } catch (e) { complain(shown, e) }
    body(bytes, (b) => { if (fd !== undefined) try { for (let o = 0; o < b.length;) o += fs.writeSync(fd, b, o) } catch (e) { complain(shown, e); fs.closeSync(fd); fd = undefined } });
    if (bytes) take(pad(bytes));
    if (fd !== undefined) { fs.fchmodSync(fd, perm); fs.futimesSync(fd, time, time); fs.closeSync(fd) }
  }
  for (const [d, perm, time] of [...dirs.values()].reverse()) try { fs.chmodSync(d, perm); fs.utimesSync(d, time, time) } catch (e) { if (e.code !== "EPERM") complain(d.toString(), e) }
}
const octal = (h, o, n, v) => { const s = v.toString(8); if (s.length < n) h.write(s.padStart(n - 1, "0") + "\0", o, "latin1"); else { h.writeBigUInt64BE(BigInt(v), o + n - 8); h[o] = 128 } };
function head(name, flag, size, perm, time, link) {
  if (name.length > 100) long("L", name);
  if (link.length > 100) long("K", link);
  const h = Buffer.alloc(512);
  name.copy(h, 0, 0, 100); link.copy(h, 157, 0, 100);
  octal(h, 100, 8, perm & 4095); octal(h, 108, 8, 0); octal(h, 116, 8, 0); octal(h, 124, 12, size); octal(h, 136, 12, Math.max(0, Math.floor(time)));
  h.write("        " + flag, 148, "latin1"); h.write("ustar\x0000", 257, "latin1");
  let sum = 0; for (const c of h) sum += c;
  h.write(sum.toString(8).padStart(6, "0") + "\0 ", 148, "latin1");
  put(h) }
function long(flag, b) { head(Buffer.from("././@LongLink"), flag, b.length + 1, 0, 0, Buffer.alloc(0)); put(Buffer.concat([b, Buffer.alloc(1 + pad(b.length + 1))])) }
const slash = Buffer.from("/"), none = Buffer.alloc(0);
function pack(p, deep) {
  let s; try { s = fs.lstatSync(p) } catch (e) { return complain(p, e) }
  const time = s.mtimeMs / 1000;
  try {
    if (s.isDirectory()) {
      const names = deep ? fs.readdirSync(p, { encoding: "buffer" }) : [];
      head(Buffer.concat([p, slash]), "5", 0, s.mode, time, none);
      for (const n of names) pack(Buffer.concat([p, slash, n]), deep);
    } else if (s.isSymbolicLink()) head(p, "2", 0, s.mode, time, fs.readlinkSync(p, { encoding: "buffer" }));
    else if (s.isFile()) {
      const fd = fs.openSync(p, "r");
      head(p, "0", s.size, s.mode, time, none);
      for (let left = s.size; left > 0;) {
        const b = Buffer.alloc(Math.min(left, 262144)), n = fs.readSync(fd, b, 0, b.length, null);
        if (n === 0) fs.writeSync(2, "tar: " + p + ": File shrank by " + left + " bytes; padding with zeros\n");
        const part = n === 0 ? b : b.subarray(0, n); put(part); left -= part.length }
      put(Buffer.alloc(pad(s.size))); fs.closeSync(fd) }
  } catch (e) { complain(p, e) } }
function list(p, nonce, since) {
  let s; try { s = fs.lstatSync(p, { bigint: true }) } catch (e) { return complain(p, e) }
  if (s.mtimeNs > since) put(Buffer.concat([Buffer.from(nonce + " " + s.mode.toString(16) + " " + s.size + " " + s.mtimeMs / 1000n + " " + s.ctimeNs + "|"), p, Buffer.from("\n")]));
  if (s.isDirectory()) try { for (const n of fs.readdirSync(p, { encoding: "buffer" })) list(Buffer.concat([p, slash, n]), nonce, since) } catch (e) { complain(p, e) } }
if (mode === "x") unpack();
if (mode === "a") { for (const p of args) pack(Buffer.from(p), true); put(Buffer.alloc(1024)) }
if (mode === "s") {
  const nonce = args.shift(), newer = args.shift(), since = newer ? fs.statSync(newer, { bigint: true }).mtimeNs : -1n;
  for (const p of args) list(Buffer.from(p), nonce, since);
  put(Buffer.from(nonce + ".\n")); flush();
  const n = Number(line());
  if (n > 0) { const wanted = take(n); for (let o = 0; o < n;) { const z = wanted.indexOf(0, o); pack(wanted.subarray(o, z), false); o = z + 1 } put(Buffer.alloc(1024)) } }
flush();
process.exitCode = failed;
`
