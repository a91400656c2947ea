/** Whether a text fits a pattern in which `*` stands for any text. Upper and lower case are the same. */
export const matches = (pattern: string, text: string): boolean =>
  new RegExp(`^${pattern.split("*").map(escaped).join(".*")}$`, "i").test(text)

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
