import type { ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as KubeClient from "jobscope/backends/kubernetes/KubeClient"
import * as KubeResource from "jobscope/backends/kubernetes/KubeResource"
import type { WatchEvent } from "jobscope/backends/kubernetes/KubeWatch"
import { FakeApi, json, layer, passing, pod, podList, type Seen, status } from "./support/FakeApi.ts"

type Wired = readonly ["ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR", object]
type Answer =
  | { readonly list: object }
  | { readonly watch: ReadonlyArray<Wired>; readonly end?: "close" | "reset" | "stay" }
  | { readonly fail: number }

const told = (event: WatchEvent<KubeResource.Wire<object>>): string => {
  if (event._tag === "Synced") return `Synced ${event.resourceVersion}`
  const { metadata, status } = event.object as ReturnType<typeof pod>
  return `${event._tag} ${metadata.name} ${metadata.resourceVersion} ${status.phase}`
}

/** What the stream says to a server that answers so, one after the other, and what was asked. */
const following = (answers: ReadonlyArray<Answer>, count: number, options: object = {}) =>
  Effect.gen(function* () {
    const kube = yield* KubeClient.KubeClient
    const events = yield* passing(
      kube
        .watch({ resource: KubeResource.pods, ...options })
        .pipe(Stream.map(told), Stream.take(count), Stream.runCollect),
      "5 seconds"
    )
    const asked = (yield* FakeApi).seen.map(({ url }) =>
      url.searchParams.get("watch") === "true" ? `watch ${url.searchParams.get("resourceVersion")}` : "list"
    )
    return { events, asked }
  }).pipe(Effect.provide(layer({ http: answering(answers) })))

const answering = (answers: ReadonlyArray<Answer>) => (response: ServerResponse, _: Seen, index: number) => {
  const answer = answers[index]
  if (answer === undefined) return
  if ("list" in answer) return json(response, 200, answer.list)
  if ("fail" in answer) return json(response, answer.fail, status(answer.fail, "Failed", "no"))
  response.writeHead(200)
  for (const [type, object] of answer.watch) response.write(`${JSON.stringify({ type, object })}\n`)
  if (answer.end === "stay") return response.flushHeaders()
  if (answer.end === "reset")
    return response.write('{"type":"ADDED","obj', () => setImmediate(() => response.socket?.resetAndDestroy()))
  response.end()
}

describe("a watch", () => {
  it.effect("lists, says so, and follows", () =>
    Effect.gen(function* () {
      const { asked, events } = yield* following(
        [
          { list: podList(5, pod("a", 3, "Pending")) },
          {
            watch: [
              ["MODIFIED", pod("a", 6)],
              ["ADDED", pod("b", 7)],
              ["DELETED", pod("a", 8)]
            ],
            end: "stay"
          }
        ],
        5
      )
      assert.deepStrictEqual(events, [
        "Added a 3 Pending",
        "Synced 5",
        "Modified a 6 Running",
        "Added b 7 Running",
        "Deleted a 8 Running"
      ])
      assert.deepStrictEqual(asked, ["list", "watch 5"])
    })
  )

  it.effect.each(["close", "reset"] as const)(
    "goes on after the last version when the connection ends (%s), and says nothing twice",
    (end) =>
      Effect.gen(function* () {
        const { asked, events } = yield* following(
          [
            { list: podList(5) },
            { watch: [["ADDED", pod("a", 6)]], end },
            {
              watch: [
                ["ADDED", pod("a", 6)],
                ["MODIFIED", pod("a", 7, "Failed")]
              ],
              end
            },
            { watch: [["DELETED", pod("a", 9)]], end: "stay" }
          ],
          4
        )
        assert.deepStrictEqual(events, ["Synced 5", "Added a 6 Running", "Modified a 7 Failed", "Deleted a 9 Running"])
        assert.deepStrictEqual(asked, ["list", "watch 5", "watch 6", "watch 7"])
      })
  )

  it.effect("goes on after a bookmark", () =>
    Effect.gen(function* () {
      const { asked } = yield* following(
        [
          { list: podList(5) },
          { watch: [["BOOKMARK", { metadata: { resourceVersion: "90" } }]] },
          { watch: [["ADDED", pod("a", 91)]], end: "stay" }
        ],
        2
      )
      assert.deepStrictEqual(asked, ["list", "watch 5", "watch 90"])
    })
  )

  for (const [how, answer] of [
    ["an answer", { fail: 410 }],
    ["an event", { watch: [["ERROR", status(410, "Expired", "too old resource version")]] }]
  ] as const) {
    it.effect(`lists again after 410 as ${how}, and tells the difference`, () =>
      Effect.gen(function* () {
        const { asked, events } = yield* following(
          [
            { list: podList(5, pod("gone", 1), pod("same", 2), pod("other", 3)) },
            answer as Answer,
            { list: podList(50, pod("same", 2), pod("other", 40, "Failed"), pod("new", 41)) },
            { watch: [["DELETED", pod("new", 51)]], end: "stay" }
          ],
          9
        )
        assert.deepStrictEqual(events.slice(3), [
          "Synced 5",
          "Modified other 40 Failed",
          "Added new 41 Running",
          "Deleted gone 1 Running",
          "Synced 50",
          "Deleted new 51 Running"
        ])
        assert.deepStrictEqual(asked, ["list", "watch 5", "list", "watch 50"])
      })
    )
  }

  it.effect("that is silent too long is made anew", () =>
    Effect.gen(function* () {
      const { asked, events } = yield* following(
        [{ list: podList(5) }, { watch: [], end: "stay" }, { watch: [["ADDED", pod("a", 6)]], end: "stay" }],
        2
      )
      assert.deepStrictEqual(events, ["Synced 5", "Added a 6 Running"])
      assert.deepStrictEqual(asked, ["list", "watch 5", "watch 5"])
    })
  )

  it.effect("from a version needs no list", () =>
    Effect.gen(function* () {
      const { asked, events } = yield* following(
        [
          {
            watch: [
              ["MODIFIED", pod("a", 9)],
              ["DELETED", pod("b", 10)]
            ],
            end: "stay"
          }
        ],
        2,
        {
          resourceVersion: "8"
        }
      )
      assert.deepStrictEqual(events, ["Modified a 9 Running", "Deleted b 10 Running"])
      assert.deepStrictEqual(asked, ["watch 8"])
    })
  )

  it.effect("goes on through failures of the server, with pauses", () =>
    Effect.gen(function* () {
      const { events } = yield* following(
        [
          { list: podList(5) },
          { fail: 503 },
          { fail: 500 },
          { fail: 429 },
          { watch: [["ADDED", pod("a", 6)]], end: "stay" }
        ],
        2
      )
      assert.deepStrictEqual(events, ["Synced 5", "Added a 6 Running"])
    })
  )

  it.effect("goes on however long nothing happens, connecting anew only now and then", () => {
    const quiet = Array.from({ length: 40 }, (): Answer => ({ watch: [], end: "stay" }))
    return Effect.gen(function* () {
      const { asked, events } = yield* following(
        [{ list: podList(5) }, ...quiet, { watch: [["ADDED", pod("a", 6)]], end: "stay" }],
        2
      )
      assert.deepStrictEqual(events, ["Synced 5", "Added a 6 Running"])
      assert.strictEqual(asked.length, 42)
    })
  })

  it.effect("without the right fails at once", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(following([{ list: podList(5) }, { fail: 403 }], 2))
      assert.match(error.message, /No right to watch pods in the namespace ci/)
    })
  )

  it.effect("fails when nothing works for its patience, and does not hammer the server", () =>
    Effect.gen(function* () {
      const kube = yield* KubeClient.KubeClient
      const error = yield* passing(
        Effect.flip(
          Stream.runDrain(kube.watch({ resource: KubeResource.pods, resourceVersion: "1", patience: "2 minutes" }))
        )
      )
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.isBelow((yield* FakeApi).seen.length, 40)
    }).pipe(Effect.provide(layer({ http: (response) => json(response, 503, status(503, "x", "down")) })))
  )

  it.effect("ends its connection when nobody reads it any more", () =>
    Effect.gen(function* () {
      yield* following([{ list: podList(5) }, { watch: [["ADDED", pod("a", 6)]], end: "stay" }], 2)
      const kube = yield* KubeClient.KubeClient
      yield* Stream.runDrain(Stream.take(kube.watch({ resource: KubeResource.pods }), 2))
      const fake = yield* FakeApi
      // Only the idle connection of the list may stay.
      yield* fake.atMost(1)
    }).pipe(
      Effect.provide(
        layer({ http: answering([{ list: podList(5) }, { watch: [["ADDED", pod("a", 6)]], end: "stay" }]) })
      )
    )
  )
})
