/** What a child has printed so far, read in the background. */
export interface OutputCollector {
  text(): string;
  /** Bytes. */
  size(): number;
  /** When the stream has ended or was cancelled; never rejects. */
  done: Promise<void>;
  /** Closes the pipe, so that it no longer keeps our process alive. */
  cancel(): void;
}

export const collectOutput = (stream: ReadableStream<Uint8Array>): OutputCollector => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = stream.getReader();
  const pump = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      chunks.push(value);
      size += value.length;
    }
  };
  const ignore = (): void => {};
  return {
    text: () => Buffer.concat(chunks).toString(),
    size: () => size,
    done: pump().catch(ignore),
    cancel: () => void reader.cancel().catch(ignore),
  };
};
