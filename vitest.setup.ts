import { addEqualityTesters } from "@effect/vitest"

// Effect's own data types compare by value in assertions.
addEqualityTesters()
