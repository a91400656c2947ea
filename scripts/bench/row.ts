/** One figure that is held to a budget. */
export interface Row {
  readonly what: string
  /** What it was made of, for people. */
  readonly figures: string
  readonly measured: number
  readonly unit: string
  readonly budget: number
}
