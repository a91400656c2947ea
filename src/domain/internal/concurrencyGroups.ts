import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Concurrency } from "../Workflow.ts"

/** Who runs and who waits in each concurrency group of one workflow. */
export type Groups = Map<string, Array<Member>>

interface Member {
  readonly turn: Deferred.Deferred<void>
  /** A newcomer has taken its place. */
  readonly displaced: Deferred.Deferred<void>
}

export const makeGroups = (): Groups => new Map()

/**
 * Runs an effect when it is its turn in its group. `displaced` tells the effect that it is to stop, or not to begin at all: it is asked to run in
 * any case, because what is cancelled has a result too.
 */
export const inGroup = <A, E, R>(
  groups: Groups,
  concurrency: Concurrency | undefined,
  run: (displaced: ReadonlyArray<Deferred.Deferred<void>>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  concurrency === undefined
    ? run([])
    : Effect.acquireUseRelease(
        Effect.sync(() => enter(groups, concurrency)),
        ({ displaced, turn }) =>
          Effect.andThen(Effect.raceFirst(Deferred.await(turn), Deferred.await(displaced)), run([displaced])),
        (member) => Effect.sync(() => leave(groups, concurrency, member))
      )

const enter = (groups: Groups, { cancelInProgress, group, queue }: Concurrency): Member => {
  const member: Member = { turn: Deferred.makeUnsafe(), displaced: Deferred.makeUnsafe() }
  const members = membersOf(groups, group)
  const [running, ...waiting] = members
  // Before anybody is told: who is, may leave at once.
  members.push(member)
  if (queue === "single") for (const { displaced } of waiting) Deferred.doneUnsafe(displaced, Effect.void)
  if (cancelInProgress && running !== undefined) Deferred.doneUnsafe(running.displaced, Effect.void)
  if (running === undefined) Deferred.doneUnsafe(member.turn, Effect.void)
  return member
}

const leave = (groups: Groups, { group }: Concurrency, member: Member): void => {
  const members = membersOf(groups, group)
  members.splice(members.indexOf(member), 1)
  const [first] = members
  if (first !== undefined) Deferred.doneUnsafe(first.turn, Effect.void)
}

/** Names of groups are not case-sensitive. */
const membersOf = (groups: Groups, group: string): Array<Member> => {
  const key = group.toLowerCase()
  const members = groups.get(key) ?? []
  groups.set(key, members)
  return members
}
