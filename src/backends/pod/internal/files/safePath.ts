/** The path in its shortest form, undefined if it is absolute or climbs. "" is the root. */
export const safePath = (path: string): string | undefined => {
  if (path.startsWith("/") || path.includes("\0")) return undefined
  const names = path.split("/").filter((name) => name !== "" && name !== ".")
  return names.includes("..") ? undefined : names.join("/")
}
