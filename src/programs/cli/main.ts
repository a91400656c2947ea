/**
 * `jobscope`: workflow files on any backend.
 */
import { runCommand } from "../commandMain.ts"
import * as Cli from "./Cli.ts"

runCommand(Cli.command)
