import { connect } from 'node:net'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

export interface Dialled {
  readonly answered: number
  /** Connections that ended before an answer. */
  readonly lost: number
}

export interface Diallers {
  /** Resolves when so many more were answered or lost, with all so far. */
  more(count: number): Promise<Dialled>
  stop(): Promise<void>
}

/** Clients in a thread of their own, each dialling anew for each request. */
export function startDiallers(port: number, clients: number): Diallers {
  const worker = new Worker(new URL(import.meta.url), { workerData: { port, clients } })
  return {
    more: (count) =>
      new Promise((resolve, reject) => {
        worker.once('error', reject)
        worker.once('message', (counts: Dialled) => {
          worker.off('error', reject)
          resolve(counts)
        })
        worker.postMessage(count)
      }),
    stop: async () => {
      await worker.terminate()
    },
  }
}

if (!isMainThread && parentPort !== null) {
  const { port, clients } = workerData as { port: number; clients: number }
  const counts = { answered: 0, lost: 0 }
  const main = parentPort
  let at = Infinity
  const dial = (): void => {
    let answered = false
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => socket.write('?'))
    socket.on('error', () => undefined)
    socket.once('data', () => {
      answered = true
      // No port of this side stays taken.
      socket.resetAndDestroy()
    })
    socket.once('close', () => {
      counts[answered ? 'answered' : 'lost'] += 1
      if (counts.answered + counts.lost >= at) {
        at = Infinity
        main.postMessage(counts)
      }
      dial()
    })
  }
  main.on('message', (more: number) => (at = counts.answered + counts.lost + more))
  for (let i = 0; i < clients; i += 1) dial()
}
