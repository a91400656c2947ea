/** One HTTP request and its whole answer, for registries. */
import * as Http from "node:http"
import * as Https from "node:https"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

/** No answer came: nobody is there, or the connection broke. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly detail: string }> {}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly ca?: string | undefined
  /** A longer body is an error. */
  readonly limit: number
}

/** Sends a GET. Interrupting it ends the connection. */
export const get = (url: URL, { ca, headers, limit }: RequestOptions): Effect.Effect<Answer, NoAnswer> =>
  Effect.callback((resume) => {
    const fail = (detail: string) => resume(Effect.fail(new NoAnswer({ detail })))
    const request = (url.protocol === "https:" ? Https : Http).request(url, {
      method: "GET",
      headers: { "user-agent": "jobscope", ...headers },
      agent: false,
      ...(ca === undefined ? {} : { ca })
    })
    request.on("error", (cause) => fail(reasonOf(cause)))
    request.once("response", (response) => {
      const chunks: Array<Buffer> = []
      let size = 0
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size <= limit) return
        fail(`the answer is longer than ${limit} bytes`)
        request.destroy()
      })
      response.on("error", (cause) => fail(reasonOf(cause)))
      response.once("close", () => fail("the answer broke off"))
      response.once("end", () =>
        resume(
          Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) })
        )
      )
    })
    request.end()
    return Effect.sync(() => request.destroy())
  })

const reasonOf = (cause: Error): string => {
  const { code, message } = cause as NodeJS.ErrnoException
  return message === "" ? (code ?? "no reason was given") : message
}
