/**
 * GitHub's expressions: parsed and evaluated by GitHub's own `@actions/expressions`, mended where it differs from what the service does.
 */
import { data, Evaluator, type Expr, ExpressionError, Lexer, Parser } from "@actions/expressions"
import {
  Binary,
  ContextAccess,
  FunctionCall,
  Grouping,
  IndexAccess,
  Literal,
  Logical,
  Star,
  Unary
} from "@actions/expressions/ast"
import { wellKnownFunctions } from "@actions/expressions/funcs"
import type { FunctionDefinition } from "@actions/expressions/funcs/info"
import { falsy, truthy } from "@actions/expressions/result"
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import type { Code, Range } from "../Diagnostic.ts"
import { type Availability, contextNames, functionArguments } from "./availability.ts"
import * as ContextData from "./contextData.ts"
import { didYouMean } from "./source.ts"

/** A parsed expression. */
export interface Expression {
  readonly source: string
  readonly range: Range
  readonly ast: Expr
  /** Every `context.name` that it asks for, as far as the names are written down; `["needs"]` alone for the whole context. */
  readonly references: ReadonlyArray<Reference>
  /** Names of the functions that it calls, lower case. */
  readonly functions: ReadonlySet<string>
}

interface Reference {
  /** Lower case: names of contexts are not case-sensitive. */
  readonly context: string
  readonly path: ReadonlyArray<string>
  /** Where in the source. */
  readonly offset: number
  readonly length: number
}

/** Why it cannot be parsed, and where in its source. */
export interface Problem {
  readonly code: Code
  readonly message: string
  readonly hint?: string | undefined
  readonly offset: number
  readonly length: number
}

/** Parses, and refuses contexts and functions that are unknown, or not available in this place. */
export const parse = (
  source: string,
  available: Availability,
  range: Range
): Result.Result<Expression, ReadonlyArray<Problem>> =>
  Result.flatMap(parseTree(source), (ast) => {
    const found = look(source, ast)
    const problems = [
      ...found.references.flatMap((reference) => contextProblem(reference, available)),
      ...found.calls.flatMap((call) => functionProblem(call, available))
    ]
    return problems.length > 0
      ? Result.fail(problems)
      : Result.succeed({
          source,
          range,
          ast,
          references: found.references,
          functions: new Set(found.calls.map(({ name }) => name))
        })
  })

const parseTree = (source: string): Result.Result<Expr, ReadonlyArray<Problem>> =>
  Result.try({
    try: () => {
      const { tokens } = new Lexer(source).lex()
      for (const token of tokens) {
        // The lexer mends only the first doubled quote of a text.
        if (typeof token.value === "string" && token.lexeme.startsWith("'")) {
          token.value = token.lexeme.slice(1, -1).replaceAll("''", "'")
        }
      }
      if (tokens.length <= 1) throw new Error("An expression is missing")
      const extensions = Object.keys(tokens.reduce(calledNames, {})).map((name) => ({ name, minArgs: 0, maxArgs: 255 }))
      const contexts = tokens.map(({ lexeme }) => lexeme)
      // All names are let through: which are known in this place is told later, with better words.
      return new Parser(tokens, contexts, extensions).parse()
    },
    catch: (cause) => [syntaxProblem(source, cause)]
  })

const calledNames = (names: Record<string, true>, token: { readonly lexeme: string }): Record<string, true> => {
  if (/^[A-Za-z_]/.test(token.lexeme)) names[token.lexeme] = true
  return names
}

const syntaxProblem = (source: string, cause: unknown): Problem => {
  const code = "expression-syntax"
  if (cause instanceof ExpressionError) {
    return { code, message: cause.message, offset: offsetOf(source, cause.pos), length: 1 }
  }
  const said = cause instanceof Error ? cause.message : String(cause)
  const [, message, at] = /^([\s\S]*?)\. Located at position (\d+) within expression/.exec(said) ?? []
  if (said === "ErrorExceededMaxLength") {
    return { code, message: "The expression is longer than 21000 characters", offset: 0, length: source.length }
  }
  const hint = said.includes('"') ? "Texts in expressions are in single quotes: 'text'." : undefined
  return at === undefined
    ? { code, message: said, offset: 0, length: source.length }
    : { code, message: message ?? said, hint, offset: Number(at) - 1, length: 1 }
}

const offsetOf = (source: string, { column, line }: { readonly line: number; readonly column: number }): number => {
  let start = 0
  for (let index = 0; index < line; index++) start = source.indexOf("\n", start) + 1
  return start + column
}

// ---- what it refers to

interface Call {
  readonly name: string
  readonly written: string
  readonly count: number
  readonly offset: number
}

const look = (
  source: string,
  ast: Expr
): { readonly references: ReadonlyArray<Reference>; readonly calls: ReadonlyArray<Call> } => {
  const references: Array<Reference> = []
  const calls: Array<Call> = []
  const visit = (node: Expr): void => {
    if (node instanceof IndexAccess || node instanceof ContextAccess) {
      const path: Array<string> = []
      let inner: Expr = node
      while (inner instanceof IndexAccess) {
        if (inner.index instanceof Literal) path.unshift(inner.index.literal.coerceString())
        else {
          path.length = 0
          if (!(inner.index instanceof Star)) visit(inner.index)
        }
        inner = inner.expr
      }
      if (inner instanceof ContextAccess) {
        const { lexeme, range } = inner.name
        references.push({
          context: lexeme.toLowerCase(),
          path,
          offset: offsetOf(source, range.start),
          length: lexeme.length
        })
      } else visit(inner)
    } else if (node instanceof FunctionCall) {
      const { lexeme, range } = node.functionName
      calls.push({
        name: lexeme.toLowerCase(),
        written: lexeme,
        count: node.args.length,
        offset: offsetOf(source, range.start)
      })
      for (const argument of node.args) visit(argument)
    } else if (node instanceof Unary) visit(node.expr)
    else if (node instanceof Grouping) visit(node.group)
    else if (node instanceof Logical) for (const argument of node.args) visit(argument)
    else if (node instanceof Binary) {
      visit(node.left)
      visit(node.right)
    }
  }
  visit(ast)
  return { references, calls }
}

const contextProblem = ({ context, length, offset }: Reference, available: Availability): ReadonlyArray<Problem> => {
  if (available.contexts.includes(context)) return []
  const place = { offset, length }
  return contextNames.includes(context)
    ? [
        {
          code: "unavailable-context",
          message: `The context "${context}" is not available here`,
          hint:
            available.contexts.length === 0 ? "No context is." : `Available here: ${available.contexts.join(", ")}.`,
          ...place
        }
      ]
    : [
        {
          code: "unknown-context",
          message: `There is no context "${context}"`,
          hint: didYouMean(context, available.contexts) ?? "A text is written in single quotes: 'text'.",
          ...place
        }
      ]
}

const functionProblem = ({ count, name, offset, written }: Call, available: Availability): ReadonlyArray<Problem> => {
  const place = { offset, length: written.length }
  const known = Object.hasOwn(functionArguments, name) ? functionArguments[name] : undefined
  if (known === undefined) {
    return [
      {
        code: "unknown-function",
        message: `There is no function "${written}"`,
        hint: didYouMean(
          written,
          Object.values(functionArguments).map((each) => each.name)
        ),
        ...place
      }
    ]
  }
  if (known.special && !available.functions.includes(name)) {
    return [
      {
        code: "unknown-function",
        message: `The function "${known.name}" is not available here`,
        hint: name === "hashfiles" ? "It is in steps." : "Status functions are for `if`.",
        ...place
      }
    ]
  }
  const [least, most] =
    name === "success" || name === "failure" ? [0, available.statusArguments ? 255 : 0] : known.count
  if (count >= least && count <= most && !(name === "case" && count % 2 === 0)) return []
  const wanted =
    name === "case"
      ? "an odd number, 3 at least"
      : least === most
        ? `${least}`
        : most === 255
          ? `${least} or more`
          : `${least} to ${most}`
  return [
    {
      code: "expression-syntax",
      message: `The function "${known.name}" takes ${wanted} arguments, not ${count}`,
      ...place
    }
  ]
}

// ---- evaluation

/** What an expression sees. */
export interface Scope {
  readonly contexts: Readonly<Record<string, data.ExpressionData | typeof unknown>>
  /** By lower-case name; the built-in ones are known. */
  readonly functions?: Readonly<Record<string, (...args: ReadonlyArray<data.ExpressionData>) => data.ExpressionData>>
}

/** The value of a context, or of a property, that only the run will tell. */
export const unknown = Symbol("unknown until run")

/** Thrown by an evaluation that would need what is `unknown`. */
export class UnknownUntilRun extends Data.TaggedError("UnknownUntilRun")<{ readonly context: string }> {}

/**
 * The value. Throws `UnknownUntilRun`, what functions of the scope throw, and errors whose message says what is wrong with the values.
 *
 * `truthOnly`: only whether the result counts as true is asked, so one side of `&&` and `||` may decide alone.
 */
export const evaluate = (expression: Expression, scope: Scope, truthOnly = false): data.ExpressionData =>
  new ScopedEvaluator(expression.ast, scope, truthOnly).evaluate()

class ScopedEvaluator extends Evaluator {
  readonly #scope: Scope
  readonly #truthOnly: boolean

  constructor(ast: Expr, scope: Scope, truthOnly: boolean) {
    super(ast, new data.Dictionary(), functionsOf(scope))
    this.#scope = scope
    this.#truthOnly = truthOnly
  }

  override visitContextAccess(access: ContextAccess): data.ExpressionData {
    const name = access.name.lexeme.toLowerCase()
    const value = Object.hasOwn(this.#scope.contexts, name) ? this.#scope.contexts[name] : undefined
    if (value === unknown) throw new UnknownUntilRun({ context: name })
    return value ?? new data.Null()
  }

  override visitLogical(logical: Logical): data.ExpressionData {
    if (!this.#truthOnly) return super.visitLogical(logical)
    const decides = logical.operator.lexeme === "&&" ? falsy : truthy
    let last: data.ExpressionData = new data.Null()
    let open: UnknownUntilRun | undefined
    for (const argument of logical.args) {
      try {
        last = this.eval(argument)
      } catch (cause) {
        if (!(cause instanceof UnknownUntilRun)) throw cause
        open ??= cause
        continue
      }
      if (decides(last)) return last
    }
    if (open !== undefined) throw open
    return last
  }
}

const functionsOf = ({ functions }: Scope): Map<string, FunctionDefinition> => {
  const map = new Map<string, FunctionDefinition>([["fromjson", fromJson]])
  for (const [name, call] of Object.entries(functions ?? {})) {
    map.set(name, { name, minArgs: 0, maxArgs: 255, call })
  }
  return map
}

/** The library's own loses keys that every JavaScript object has, such as `constructor`. */
const fromJson: FunctionDefinition = {
  ...wellKnownFunctions.fromjson!,
  call: (text) => ContextData.fromJson(JSON.parse(text?.coerceString() ?? ""))
}
