/**
 * A stage of a Dockerfile, every variable replaced: what happens in which image, in order.
 */
import * as Data from "effect/Data"
import type { At } from "./Refusal.ts"
import type * as Word from "./Word.ts"

/**
 * A directory of a container: absolute, or below the base image's own working directory, where that is not known.
 *
 * @category models
 */
export interface Directory {
  readonly fromBase: boolean
  readonly path: string
}

/** @category models */
export interface Run {
  readonly _tag: "Run"
  readonly at: At
  readonly argv: ReadonlyArray<string>
  /** A script of its own, from a heredoc with `#!`, that is run instead of `argv`. */
  readonly script: string | undefined
  /** What ENV and ARG have set, on top of the base image's variables. */
  readonly env: ReadonlyMap<string, Word.Template>
  readonly directory: Directory
  readonly user: string | undefined
  /** Directories that must be there: the targets of cache mounts. */
  readonly caches: ReadonlyArray<Directory>
}

/** @category models */
export interface CopyFiles {
  readonly _tag: "Copy"
  readonly at: At
  /** Where the files come from. */
  readonly from:
    | { readonly _tag: "Context" }
    | { readonly _tag: "Stage"; readonly stage: number }
    | { readonly _tag: "Image"; readonly image: string }
  readonly sources: ReadonlyArray<string>
  readonly files: ReadonlyArray<{ readonly name: string; readonly content: string }>
  readonly destination: Directory
  /** The destination is a directory, whether it is there or not. */
  readonly intoDirectory: boolean
  readonly owner: string | undefined
  readonly chmod: string | undefined
  readonly exclude: ReadonlyArray<string>
  /** Archives are unpacked, as ADD does. */
  readonly unpack: boolean
}

/** @category models */
export type Action =
  | Run
  | CopyFiles
  /** WORKDIR and VOLUME. */
  | { readonly _tag: "Directory"; readonly at: At; readonly directory: Directory; readonly owner: string | undefined }

/**
 * What an image says of itself, as far as it is known.
 *
 * @category models
 */
export interface Settings {
  /** What RUN sees: ENV and ARG. */
  readonly buildEnv: ReadonlyMap<string, Word.Template>
  /** What the entry point sees: ENV. */
  readonly env: ReadonlyMap<string, Word.Template>
  readonly directory: Directory
  /** None: whoever the base image runs as. */
  readonly user: string | undefined
  readonly shell: ReadonlyArray<string>
  /** None: the base image's, which is not known. */
  readonly entrypoint: ReadonlyArray<string> | undefined
  readonly cmd: ReadonlyArray<string> | undefined
}

/** @category models */
export interface Stage {
  readonly index: number
  readonly name: string | undefined
  readonly at: At
  /** `scratch`, or an image. */
  readonly image: string
  /** The variables of the image, if its configuration was at hand. */
  readonly baseEnv: ReadonlyMap<string, string> | undefined
  readonly actions: ReadonlyArray<Action>
  readonly settings: Settings
}

/** @category models */
export interface Stages {
  /** In order; the last one is the action's image. */
  readonly stages: ReadonlyArray<Stage>
  /** What the step's container runs. */
  readonly argv: ReadonlyArray<string>
}

/**
 * Without the configuration of this image it does not go on.
 *
 * @category errors
 */
export class NeedsConfig extends Data.TaggedError("NeedsConfig")<{
  readonly image: string
  readonly at: At
  /** What for, as the end of a sentence that begins with the image. */
  readonly why: string
}> {}
