() => {
  const channel = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = s => (s.match(/[\d.]+/g) || []).map(Number);
  const paper = parse(getComputedStyle(document.body).backgroundColor).slice(0, 3);
  const grounds = [...document.querySelectorAll('svg rect, svg path')].map(r => {
    const box = r.getBoundingClientRect(), style = getComputedStyle(r), fill = parse(style.fill);
    return {r, box, fill: fill.slice(0, 3), seen: style.fill !== 'none' && (fill.length < 4 || fill[3] > 0.5)
      && parseFloat(style.opacity) * parseFloat(style.fillOpacity) > 0.5 && box.width > 0};
  }).filter(g => g.seen);
  const under = (t, x, y) => grounds.filter(g => g.box.left <= x && x <= g.box.right && g.box.top <= y && y <= g.box.bottom
    && (g.r.compareDocumentPosition(t) & Node.DOCUMENT_POSITION_FOLLOWING)).pop();
  const svg = document.querySelector('svg');
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const texts = [...document.querySelectorAll('svg text')].filter(t => t.textContent.trim() && t.getBoundingClientRect().width > 0);
  const boxes = texts.map(t => {
    const box = t.getBoundingClientRect(), style = getComputedStyle(t);
    const fill = parse(style.fill);
    const a = light(fill.length ? fill.slice(0, 3) : [0, 0, 0]);
    const g = under(t, box.x + box.width / 2, box.y + box.height / 2), b = light(g ? g.fill : paper);
    return {text: t.textContent.trim(), x: box.x, y: box.y, w: box.width, h: box.height,
      size: parseFloat(style.fontSize) * scale, seen: parseFloat(style.opacity || 1) * parseFloat(style.fillOpacity || 1),
      contrast: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)};
  });
  return {texts: boxes, width: document.documentElement.scrollWidth, title: document.title,
    charts: [...document.querySelectorAll('[data-chart-type]')].map(c => ({id: c.dataset.chartId, type: c.dataset.chartType, label: c.getAttribute('aria-label') || '',
      text: [...c.querySelectorAll('text')].map(t => t.textContent).join(' ')})),
    legend: [...document.querySelectorAll('.role-legend-label text')].map(t => [t.textContent,
      t.closest('.role-legend-label').parentNode.querySelector('.role-legend-symbol path').getAttribute('fill')]),
    body: document.body.innerText};
}
