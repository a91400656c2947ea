/**
 * The auth provider `oidc` of a kubeconfig: an ID token, and a refresh token for the time after it. As kubectl does it, but that the new tokens are
 * kept here only. Our own, because the official client (2.0) cannot renew a token: it calls its OIDC library in a way that this refuses.
 */
import * as Fs from "node:fs"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ClusterAccess, TlsOptions } from "../ClusterAccess.ts"
import { ConfigInvalid, KubeError } from "../KubeError.ts"
import { environmentProxy } from "./environmentProxy.ts"
import { makeTransport, textOf } from "./transport.ts"

const text = Schema.optionalKey(Schema.String)

const Provider = Schema.Struct({
  name: Schema.Literal("oidc"),
  config: Schema.Struct({
    "idp-issuer-url": text,
    "idp-certificate-authority": text,
    "idp-certificate-authority-data": text,
    "client-id": text,
    "client-secret": text,
    "id-token": text,
    "refresh-token": text
  })
})

const Discovered = Schema.Struct({
  token_endpoint: Schema.String,
  token_endpoint_auth_methods_supported: Schema.optionalKey(Schema.Array(Schema.String))
})

const Granted = Schema.Struct({ id_token: Schema.String, refresh_token: text })

/** A token is renewed so long before it is over. */
const margin = 10

/** The header fields of such a user; nothing if it is another auth provider. */
export const oidcHeaders = (authProvider: unknown, source: string): ClusterAccess["headers"] | undefined => {
  const provider = Schema.decodeUnknownOption(Provider)(authProvider)
  if (Option.isNone(provider)) return undefined
  const { config } = provider.value
  const secret = (value: string | undefined) => (value === undefined || value === "" ? undefined : Redacted.make(value))
  let idToken = secret(config["id-token"])
  let refreshToken = secret(config["refresh-token"])
  const issuer = (config["idp-issuer-url"] ?? "").replace(/\/+$/, "")
  const clientId = config["client-id"] ?? ""
  const invalid = (detail: string) =>
    new KubeError({
      reason: new ConfigInvalid({
        source,
        detail: `the ID token of its user is over, and ${detail}`,
        advice: "Log in anew, for example with kubectl and the same context."
      })
    })

  const ask = (url: string, tls: TlsOptions, headers: Readonly<Record<string, string>>, body?: string) =>
    Effect.scoped(
      Effect.gen(function* () {
        if (!/^https?:/.test(url) || !URL.canParse(url)) return yield* invalid(`${url} is no address of an issuer`)
        const { origin, pathname, search } = new URL(url)
        const proxy = yield* environmentProxy(new URL(url))
        const access = { source, server: origin, namespace: "", tls, proxy, headers: () => Effect.succeed({}) }
        const transport = yield* makeTransport(access)
        const target = { verb: "get", group: "", resource: "tokens" }
        const method = body === undefined ? "GET" : "POST"
        const answer = yield* transport.open({ target, method, path: `${pathname}${search}`, headers, body })
        const said = yield* textOf(answer, (cause) => transport.failure(cause, target), 1024 * 1024)
        return { status: answer.statusCode ?? 0, said }
      })
    ).pipe(
      Effect.timeoutOrElse({
        duration: "15 seconds",
        orElse: () => Effect.fail(invalid(`${url} does not answer`))
      }),
      Effect.mapError((error) =>
        error.reason._tag === "ConfigInvalid" ? error : invalid(`${url} cannot be asked for another (${error.message})`)
      )
    )

  const decoded = <A>(
    schema: Schema.Codec<A, unknown>,
    url: string,
    { said, status }: { status: number; said: string }
  ) =>
    status === 200
      ? Effect.mapError(Schema.decodeEffect(Schema.fromJsonString(schema))(said), () =>
          invalid(`what ${url} answers is not what an issuer does`)
        )
      : Effect.fail(invalid(`${url} answered ${status}${errorIn(said)}`))

  const renew = Effect.fnUntraced(function* (token: Redacted.Redacted) {
    const ca =
      config["idp-certificate-authority-data"] !== undefined
        ? Buffer.from(config["idp-certificate-authority-data"], "base64")
        : yield* authority(config["idp-certificate-authority"])
    const tls: TlsOptions = ca === undefined ? {} : { ca }
    const wellKnown = `${issuer}/.well-known/openid-configuration`
    const found = yield* decoded(Discovered, wellKnown, yield* ask(wellKnown, tls, { accept: "application/json" }))
    const methods = found.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]
    const password = config["client-secret"] ?? ""
    const inHeader = password !== "" && methods.includes("client_secret_basic")
    const form = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: Redacted.value(token),
      ...(inHeader ? {} : { client_id: clientId }),
      ...(inHeader || password === "" ? {} : { client_secret: password })
    })
    const credentials = [clientId, password].map(encodeURIComponent).join(":")
    const answer = yield* ask(
      found.token_endpoint,
      tls,
      {
        accept: "application/json",
        "content-type": "application/x-www-form-urlencoded",
        ...(inHeader ? { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` } : {})
      },
      form.toString()
    )
    const granted = yield* decoded(Granted, found.token_endpoint, answer)
    idToken = Redacted.make(granted.id_token)
    refreshToken = secret(granted.refresh_token) ?? token
    return idToken
  })

  const authority = (file: string | undefined) =>
    file === undefined || file === ""
      ? Effect.undefined
      : Effect.try({
          try: () => Fs.readFileSync(file),
          catch: () => invalid(`the certificate authority of its issuer, ${file}, cannot be read`)
        })

  return Effect.fnUntraced(function* (fresh: boolean) {
    const now = (yield* Clock.currentTimeMillis) / 1000
    const good = idToken !== undefined && endOf(Redacted.value(idToken)) > now + margin
    const mayRenew = refreshToken !== undefined && issuer !== "" && clientId !== ""
    if (idToken !== undefined && good && !(fresh && mayRenew)) return bearer(idToken)
    if (refreshToken === undefined || !mayRenew) {
      return yield* invalid("there is no refresh-token, idp-issuer-url or client-id to get another one with")
    }
    return bearer(yield* renew(refreshToken))
  })
}

const bearer = (token: Redacted.Redacted) => ({ authorization: `Bearer ${Redacted.value(token)}` })

/** When a token is over, in seconds since 1970; one that does not say is over. */
const endOf = (token: string): number => {
  const claims = Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")
  return Option.match(Schema.decodeOption(Schema.fromJsonString(Schema.Struct({ exp: Schema.Finite })))(claims), {
    onNone: () => 0,
    onSome: ({ exp }) => exp
  })
}

/** What an issuer says of a refusal. */
const errorIn = (said: string): string => {
  const Refusal = Schema.Struct({ error: Schema.String, error_description: text })
  return Option.match(Schema.decodeOption(Schema.fromJsonString(Refusal))(said), {
    onNone: () => "",
    onSome: ({ error, error_description }) => ` (${[error, error_description].filter(Boolean).join(": ")})`
  })
}
