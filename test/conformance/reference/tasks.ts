// The extension `io.modelcontextprotocol/tasks` (SEP-2663): calls that are answered with a task, and the methods that ask for
// it. The SDK has no server for it; this one stands beside the other and takes only what is about tasks.
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { InputRequests, Result, ServerContext } from '@modelcontextprotocol/server'
import {
  inputResponse,
  MissingRequiredClientCapabilityError,
  ProtocolError,
  ProtocolErrorCode,
  Server,
} from '@modelcontextprotocol/server'
import * as z from 'zod'
import { isJobTool, jobOf } from './jobs.ts'
import type { Job } from './jobs.ts'

/** How both servers advertise it. */
export const taskExtension = { 'io.modelcontextprotocol/tasks': {} }

/** Whether a request is for this server. */
export function isOfTasks(body: unknown): boolean {
  const { data } = request.safeParse(body)
  if (data?.method === 'tools/call') return isJobTool(data.params.name ?? '')
  return ['tasks/get', 'tasks/update', 'tasks/cancel'].includes(data?.method ?? '')
}

const request = z.object({
  method: z.string(),
  params: z.object({ name: z.string().optional() }),
})

/** For one request; the tasks outlive it. */
export function createTaskServer(): Server {
  const capabilities = { tools: {}, extensions: taskExtension }
  const server = new Server({ name: 'reference', version: '1.0.0' }, { capabilities })
  server.fallbackRequestHandler = async ({ params }, context) => {
    const call = z.object({ name: z.string(), arguments: z.unknown() }).parse(params)
    const job = jobOf(call.name, { given: call.arguments, context })
    if ('resultType' in job) return job
    return knowsTasks(server) ? begin(job) : finishNow(call.name, job)
  }
  const params = z.object({ taskId: z.string() })
  const methods = { get: describe, update: answer, cancel }
  for (const [name, method] of Object.entries(methods)) {
    server.setRequestHandler(`tasks/${name}`, { params }, async ({ taskId }, context) => {
      if (!knowsTasks(server)) throw lacksTasks()
      const task = tasks.get(taskId)
      if (task !== undefined) return method(task, context)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such task')
    })
  }
  return server
}

function knowsTasks(server: Server): boolean {
  const extensions = server.getClientCapabilities()?.extensions ?? {}
  return Object.keys(taskExtension).every((name) => Object.hasOwn(extensions, name))
}

function lacksTasks(): Error {
  const requiredCapabilities = { extensions: taskExtension }
  return new MissingRequiredClientCapabilityError({ requiredCapabilities })
}

interface Task {
  readonly taskId: string
  readonly job: Job
  readonly beganMs: number
  /** What is still to be answered. */
  readonly questions: InputRequests
  readonly isCancelled: boolean
}

const tasks = new Map<string, Task>()

function begin(job: Job): Result {
  const { questions } = job
  const task = {
    taskId: randomUUID(),
    job,
    beganMs: Date.now(),
    questions,
    isCancelled: false,
  }
  tasks.set(task.taskId, task)
  return { resultType: 'task', ...headOf(task), status: 'working' }
}

/** What may only be a task cannot be done for a client that knows none. */
async function finishNow(name: string, { seconds, end }: Job): Promise<Result> {
  if (name !== 'slow_compute' || end.status === 'failed') throw lacksTasks()
  await delay(seconds * 1000)
  return end.result
}

function headOf({ taskId, beganMs }: Task) {
  const createdAt = new Date(beganMs).toISOString()
  const lastUpdatedAt = new Date().toISOString()
  return { taskId, createdAt, lastUpdatedAt, ttlMs: 600_000, pollIntervalMs: 100 }
}

async function describe(task: Task): Promise<Result> {
  return { ...headOf(task), ...stateOf(task) }
}

function stateOf({ job, beganMs, questions, isCancelled }: Task) {
  const isRunning = Date.now() < beganMs + job.seconds * 1000
  if (isCancelled) return { status: 'cancelled' }
  if (Object.keys(questions).length > 0) {
    return { status: 'input_required', inputRequests: questions }
  }
  return isRunning ? { status: 'working' } : job.end
}

async function answer(task: Task, { mcpReq }: ServerContext): Promise<Result> {
  const isOpen = ([key]: [string, unknown]) =>
    inputResponse(mcpReq.inputResponses, key).kind === 'missing'
  const questions = Object.fromEntries(Object.entries(task.questions).filter(isOpen))
  tasks.set(task.taskId, { ...task, questions })
  return {}
}

async function cancel(task: Task): Promise<Result> {
  const { status } = stateOf(task)
  const isOver = status === 'completed' || status === 'failed'
  if (!isOver) tasks.set(task.taskId, { ...task, isCancelled: true })
  return {}
}
