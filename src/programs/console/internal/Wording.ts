/**
 * What all output has in common: how each conclusion looks, and how things are counted.
 */

/** @category formatting */
export const conclusions = {
  success: { mark: "✓", tone: "success" },
  failure: { mark: "✗", tone: "problem" },
  error: { mark: "✗", tone: "problem" },
  timeout: { mark: "✗", tone: "problem" },
  cancelled: { mark: "■", tone: "warning" },
  skipped: { mark: "-", tone: "detail" }
} as const

/**
 * What is not as it should be, and does not count.
 *
 * @category formatting
 */
export const warning = { mark: "!", tone: "warning" } as const

/** @category formatting */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`
