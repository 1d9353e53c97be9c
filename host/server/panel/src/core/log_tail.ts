// The end of a stream of output, read piece by piece.

import { logText } from "./text";

export const KEPT_CHARS = 200_000;

export interface Piece { bytes: Uint8Array; offset: number; isComplete: boolean; isTruncated: boolean }

export class LogText {
  text = "";
  offset = 0;
  isComplete = false;
  /** The host kept a part only. */
  isTruncated = false;
  /** The begin is no more shown here. */
  isCut = false;
  private readonly decoder = new TextDecoder();

  add(piece: Piece): void {
    this.text += this.decoder.decode(piece.bytes, { stream: !piece.isComplete });
    this.offset = piece.offset;
    this.isComplete = piece.isComplete;
    this.isTruncated ||= piece.isTruncated;
    if (this.text.length > KEPT_CHARS) {
      const from = this.text.indexOf("\n", this.text.length - KEPT_CHARS);
      this.text = this.text.slice(from < 0 ? this.text.length - KEPT_CHARS : from + 1);
      this.isCut = true;
    }
  }

  shown(): string {
    return logText(this.text);
  }
}
