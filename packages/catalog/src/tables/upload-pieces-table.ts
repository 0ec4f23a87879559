/** Bytes of an upload that were acknowledged. `sha256` is null where adjacent pieces became one. */
export interface UploadPiecesTable {
  upload_id: string;
  num: number;
  position: number;
  bytes: number;
  sha256: string | null;
  receipt: string | null;
}
