/** What the host file versions of an API key take, and what its open uploads reserve. */
export interface KeyUsageTable {
  key_id: string;
  bytes: number;
  files: number;
  reserved_bytes: number;
  reserved_files: number;
}
