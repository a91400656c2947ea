/**
 * A workflow file as it is written: every value with its place, expressions parsed but not evaluated.
 */
import type { Range } from "./Diagnostic.ts"
import type { Expression } from "./internal/expression.ts"
import type { Text, Tree, TreeMapping } from "./internal/template.ts"

export type { Expression } from "./internal/expression.ts"
export type { Text, Tree, TreeEntry, TreeMapping, TreeSequence } from "./internal/template.ts"

/**
 * A value that no expression may stand for.
 *
 * @category models
 */
export interface Located<A> {
  readonly value: A
  readonly range: Range
}

/**
 * A condition of a job or a step. Without a status function it holds only if nothing failed before: `success() && (…)`.
 *
 * @category models
 */
export interface Condition {
  readonly range: Range
  /** As it is written. */
  readonly text: string
  /** `Text` only where expressions are mixed with text: such a condition always holds, on GitHub too. */
  readonly expression: Expression | Text
  readonly hasStatus: boolean
}

/** @category models */
export interface Variable {
  readonly name: string
  readonly keyRange: Range
  readonly value: Text
}

/**
 * Variables: a mapping, or one expression that gives one.
 *
 * @category models
 */
export type Variables = ReadonlyArray<Variable> | Text

/** @category models */
export interface Defaults {
  readonly shell?: Text | undefined
  readonly workingDirectory?: Text | undefined
}

/**
 * An input of `workflow_dispatch`, of `workflow_call`, or of an action.
 *
 * @category models
 */
export interface InputSyntax {
  readonly name: string
  readonly range: Range
  readonly type: "string" | "boolean" | "number" | "choice" | "environment"
  readonly required: boolean
  readonly default?: Text | undefined
  readonly options: ReadonlyArray<string>
}

/** @category models */
export interface EventSyntax {
  readonly name: string
  readonly range: Range
  readonly inputs: ReadonlyArray<InputSyntax>
}

/** @category models */
export interface ConcurrencySyntax {
  readonly range: Range
  readonly group: Text
  readonly cancelInProgress?: Text | undefined
  readonly queue: "single" | "max"
}

/** @category models */
export interface StrategySyntax {
  readonly range: Range
  readonly failFast?: Text | undefined
  readonly maxParallel?: Text | undefined
  readonly matrix?: Tree | undefined
}

/**
 * An image, or what `container:` says of one; the values are looked at when the job is about to start.
 *
 * @category models
 */
export type ContainerSyntax = Tree

/** @category models */
export interface ServiceSyntax {
  readonly name: Located<string>
  readonly container: ContainerSyntax
}

/**
 * What `uses` names.
 *
 * @category models
 */
export type ActionReference =
  | { readonly _tag: "Local"; readonly path: string }
  | { readonly _tag: "Docker"; readonly image: string }
  | { readonly _tag: "Remote"; readonly repository: string; readonly path: string; readonly ref: string }
  /** One elsewhere that whoever runs the workflow wants to do without. */
  | { readonly _tag: "LeftOut"; readonly repository: string }

/** @category models */
export interface StepSyntax {
  readonly range: Range
  readonly id?: Located<string> | undefined
  readonly name?: Text | undefined
  readonly if?: Condition | undefined
  readonly env: Variables
  readonly continueOnError?: Text | undefined
  readonly timeoutMinutes?: Text | undefined
  readonly does:
    | {
        readonly _tag: "Run"
        readonly script: Text
        readonly shell?: Text | undefined
        readonly workingDirectory?: Text | undefined
      }
    | {
        readonly _tag: "Uses"
        readonly uses: Located<string>
        readonly action: ActionReference
        readonly with: Variables
      }
}

/** @category models */
export interface JobSyntax {
  readonly id: Located<string>
  readonly range: Range
  readonly name?: Text | undefined
  readonly needs: ReadonlyArray<Located<string>>
  readonly if?: Condition | undefined
  readonly runsOn?: Tree | undefined
  readonly env: Variables
  readonly defaults: Defaults
  readonly outputs: ReadonlyArray<Variable>
  readonly strategy?: StrategySyntax | undefined
  readonly timeoutMinutes?: Text | undefined
  readonly continueOnError?: Text | undefined
  readonly concurrency?: ConcurrencySyntax | undefined
  readonly container?: ContainerSyntax | undefined
  readonly services: ReadonlyArray<ServiceSyntax> | Text
  readonly environment?: Tree | undefined
  readonly steps: ReadonlyArray<StepSyntax>
}

/** @category models */
export interface WorkflowSyntax {
  readonly file: string
  readonly range: Range
  readonly name?: Text | undefined
  readonly runName?: Text | undefined
  readonly on: ReadonlyArray<EventSyntax>
  readonly env: Variables
  readonly defaults: Defaults
  readonly concurrency?: ConcurrencySyntax | undefined
  readonly jobs: ReadonlyArray<JobSyntax>
}

/**
 * An `action.yml` of this repository.
 *
 * @category models
 */
export interface ActionSyntax {
  readonly file: string
  readonly range: Range
  readonly name: string
  readonly inputs: ReadonlyArray<InputSyntax>
  /** Of a composite action only: the others set theirs themselves. */
  readonly outputs: ReadonlyArray<Variable>
  readonly runs:
    | { readonly _tag: "Composite"; readonly steps: ReadonlyArray<StepSyntax> }
    | {
        readonly _tag: "JavaScript"
        readonly using: string
        readonly main: string
        readonly pre?: string | undefined
        readonly post?: string | undefined
        readonly postIf?: Condition | undefined
      }
    | {
        readonly _tag: "Docker"
        /** A Dockerfile, relative to the action, or a published image. */
        readonly from: "dockerfile" | "image"
        readonly image: Located<string>
        readonly entrypoint?: string | undefined
        readonly postEntrypoint?: string | undefined
        readonly postIf?: Condition | undefined
        readonly args: ReadonlyArray<Text>
        readonly env: TreeMapping["entries"]
      }
}
