import { connect, type Socket } from 'node:net'
import { once } from 'node:events'

/** Commands written in bulk to Redis or Valkey: as fast as the server takes them. Throws at the first error it answers. */
export class Pipe {
  readonly #socket: Socket
  #chunks: string[] = []
  #size = 0
  #sent = 0
  #answered = 0
  #fault: string | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#count(chunk))
  }

  static async open(port: number): Promise<Pipe> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new Pipe(socket)
  }

  command(...parts: readonly string[]): void {
    let text = `*${parts.length}\r\n`
    for (const p of parts) text += `$${Buffer.byteLength(p)}\r\n${p}\r\n`
    this.#chunks.push(text)
    this.#size += text.length
    this.#sent += 1
  }

  /** Writes what is waiting, where that is enough to be worth it; waits while the server is behind. */
  async flush(atLeast = 0): Promise<void> {
    if (this.#size < atLeast) return
    const text = this.#chunks.join('')
    this.#chunks = []
    this.#size = 0
    if (!this.#socket.write(text)) await once(this.#socket, 'drain')
  }

  async end(): Promise<void> {
    await this.flush()
    while (this.#answered < this.#sent && this.#fault === undefined) await once(this.#socket, 'data')
    this.#socket.destroy()
    if (this.#fault !== undefined) throw new Error(this.#fault)
  }

  /** The answers are integers and `+OK`: one line each. */
  #count(chunk: Buffer): void {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) this.#answered += 1
    const minus = chunk.indexOf('-')
    if (minus !== -1) this.#fault = chunk.toString('latin1', minus, minus + 200)
  }
}
