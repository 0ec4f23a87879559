/** One bar of a chart. */
export interface Bar {
  group: string;
  label: string;
  value: number;
}

const ROW = 26;
const LEFT = 210;
const WIDTH = 720;

/** A horizontal bar chart as a self-contained SVG that reads on light and dark pages. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map((bar) => bar.value));
  const groups = [...new Set(bars.map((bar) => bar.group))];
  const height = 50 + bars.length * ROW + groups.length * 24;
  let y = 40;
  const rows = groups.flatMap((group) => {
    const head = `<text x="10" y="${y + 14}" font-weight="bold">${escape(group)}</text>`;
    y += 24;
    const lines = bars
      .filter((bar) => bar.group === group)
      .map((bar) => {
        const width = Math.max(1, ((WIDTH - LEFT - 110) * bar.value) / most);
        const fill = bar.label === 'Holdfast' ? '#2f9e44' : '#868e96';
        const line =
          `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escape(bar.label)}</text>` +
          `<rect x="${LEFT}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 8}" fill="${fill}"/>` +
          `<text x="${(LEFT + width + 6).toFixed(1)}" y="${y + 15}">${bar.value.toFixed(0)} ${escape(unit)}</text>`;
        y += ROW;
        return line;
      });
    return [head, ...lines];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="13">`,
    '<style>text{fill:#212529}@media(prefers-color-scheme:dark){text{fill:#e9ecef}}</style>',
    `<text x="10" y="22" font-size="15" font-weight="bold">${escape(title)}</text>`,
    ...rows,
    '</svg>',
    '',
  ].join('\n');
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
