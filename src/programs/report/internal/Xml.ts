/**
 * XML 1.0 of any text: what XML cannot hold, such as most control characters, is written as U+FFFD.
 */

/** The first line of a document. */
export const declaration = '<?xml version="1.0" encoding="UTF-8"?>'

/**
 * An element; its content is XML already.
 *
 * @category constructors
 */
export const element = (
  name: string,
  attributes: Readonly<Record<string, string>>,
  content: ReadonlyArray<string>
): string => {
  const head = `${name}${Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${attribute(value)}"`)
    .join("")}`
  return content.length === 0 ? `<${head}/>` : `<${head}>${content.join("")}</${name}>`
}

/**
 * A text as the content of an element.
 *
 * @category formatting
 */
export const text = (value: string): string =>
  // A line end that is not \n would be read as one.
  legal(value).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\r", "&#13;")

const attribute = (value: string): string =>
  text(value).replaceAll('"', "&quot;").replaceAll("\n", "&#10;").replaceAll("\t", "&#9;")

const legal = (value: string): string =>
  value.replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
