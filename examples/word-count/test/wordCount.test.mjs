import { deepEqual } from "node:assert/strict"
import { test } from "node:test"
import { wordCount } from "../dist/wordCount.js"

test("counts words, the most frequent first", () => {
  deepEqual(wordCount("To be, or not to be"), [
    ["be", 2],
    ["to", 2],
    ["not", 1],
    ["or", 1]
  ])
})

test("knows letters of any script", () => {
  deepEqual(wordCount("Größe größe 大"), [
    ["größe", 2],
    ["大", 1]
  ])
})

test("an empty text has no words", () => deepEqual(wordCount(""), []))
